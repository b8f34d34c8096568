/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "progress-rate.h"

#define SAMPLE_INTERVAL_MSECS 1000
#define RECENT_MSECS (30*1000)

static const struct progress_sample *
latest_sample(const struct progress_rate *rate)
{
	return &rate->samples[(rate->next + PROGRESS_RATE_SAMPLES - 1) %
			      PROGRESS_RATE_SAMPLES];
}

/* The youngest sample that is half a minute old, or the oldest that is kept. */
static const struct progress_sample *
recent_sample(const struct progress_rate *rate)
{
	const struct progress_sample *latest = latest_sample(rate), *sample;
	unsigned int i, oldest;

	oldest = (rate->next + PROGRESS_RATE_SAMPLES - rate->count) %
		PROGRESS_RATE_SAMPLES;
	sample = &rate->samples[oldest];
	for (i = 1; i < rate->count; i++) {
		const struct progress_sample *younger =
			&rate->samples[(oldest + i) % PROGRESS_RATE_SAMPLES];

		if (latest->msecs - younger->msecs < RECENT_MSECS)
			break;
		sample = younger;
	}
	return sample;
}

void progress_rate_add(struct progress_rate *rate, uint64_t msecs,
		       uint64_t mails, uint64_t bytes)
{
	const struct progress_sample sample = {
		.msecs = msecs, .mails = mails, .bytes = bytes
	};

	if (rate->count == 0)
		rate->first = sample;
	else if (msecs < latest_sample(rate)->msecs + SAMPLE_INTERVAL_MSECS)
		return;
	rate->samples[rate->next] = sample;
	rate->next = (rate->next + 1) % PROGRESS_RATE_SAMPLES;
	if (rate->count < PROGRESS_RATE_SAMPLES)
		rate->count++;
}

static double per_second(uint64_t amount, uint64_t msecs)
{
	return msecs == 0 ? 0 : (double)amount * 1000 / msecs;
}

double progress_rate_mails(const struct progress_rate *rate)
{
	const struct progress_sample *old, *latest;

	if (rate->count == 0)
		return 0;
	old = recent_sample(rate);
	latest = latest_sample(rate);
	return per_second(latest->mails - old->mails,
			  latest->msecs - old->msecs);
}

double progress_rate_bytes(const struct progress_rate *rate)
{
	const struct progress_sample *old, *latest;

	if (rate->count == 0)
		return 0;
	old = recent_sample(rate);
	latest = latest_sample(rate);
	return per_second(latest->bytes - old->bytes,
			  latest->msecs - old->msecs);
}

int64_t progress_rate_eta_secs(const struct progress_rate *rate,
			       uint64_t mails_left, uint64_t wait_left_msecs)
{
	const struct progress_sample *latest;
	double recent, slower;

	if (mails_left == 0)
		return wait_left_msecs / 1000;
	if (rate->count == 0)
		return -1;
	latest = latest_sample(rate);
	slower = per_second(latest->mails - rate->first.mails,
			    latest->msecs - rate->first.msecs);
	recent = progress_rate_mails(rate);
	/* a wait of half a minute says nothing of the time after it */
	if (recent > 0 && recent < slower)
		slower = recent;
	if (slower <= 0)
		return -1;
	return (int64_t)(mails_left / slower + 0.5) + wait_left_msecs / 1000;
}
