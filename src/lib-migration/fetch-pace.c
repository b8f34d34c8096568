/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-pace.h"

#define USECS 1000000ULL
/* A wait that is shorter may have found its bytes in the socket. */
#define FETCH_PACE_MIN_WAIT_USECS 2000
/* Fewer bytes tell more of the distance than of the line, a shorter time more
   of the pieces in which they come. */
#define FETCH_PACE_MIN_BYTES (32*1024)
#define FETCH_PACE_MIN_SAMPLE_USECS (USECS/4)
/* For so long nobody may ask for more, because what came is being written: a
   transaction of many mails on a slow disk */
#define FETCH_PACE_BUSY_USECS (2*USECS)
/* What is no distance on earth is a server that thinks. */
#define FETCH_PACE_MAX_DELAY_USECS (2*USECS)
#define FETCH_PACE_GROWTH 4

void fetch_pace_init(struct fetch_pace *pace,
		     const struct fetch_pace_limits *limits)
{
	i_zero(pace);
	pace->limits = *limits;
	pace->limits.max = I_MAX(limits->max, 1);
	pace->limits.min = I_MIN(I_MAX(limits->min, 1), pace->limits.max);
	pace->limits.start = I_MIN(I_MAX(limits->start, pace->limits.min),
				   pace->limits.max);
	pace->delay_usecs = UINT64_MAX;
}

void fetch_pace_arrived(struct fetch_pace *pace, uint64_t bytes)
{
	pace->bytes += bytes;
}

static void fetch_pace_sample(struct fetch_pace *pace, uint64_t usecs)
{
	pace->samples[pace->sample_count++ % FETCH_PACE_SAMPLES] =
		I_MAX(pace->bytes * USECS / usecs, 1);
	/* it is the line that is waited for */
	pace->grown = 0;
}

void fetch_pace_waited(struct fetch_pace *pace, uint64_t begin_usecs,
		       uint64_t end_usecs, bool under_way)
{
	bool enough;

	if (end_usecs < begin_usecs + FETCH_PACE_MIN_WAIT_USECS)
		return;
	if (pace->drained_usecs != 0) {
		enough = pace->bytes >= FETCH_PACE_MIN_BYTES &&
			end_usecs >= pace->drained_usecs +
				FETCH_PACE_MIN_SAMPLE_USECS;
		if (enough) {
			fetch_pace_sample(pace,
					  end_usecs - pace->drained_usecs);
		} else if (under_way) {
			/* goes on from the moment before */
			return;
		}
	}
	pace->drained_usecs = under_way ? end_usecs : 0;
	pace->bytes = 0;
}

void fetch_pace_answered(struct fetch_pace *pace, uint64_t usecs)
{
	pace->delay_usecs = I_MIN(pace->delay_usecs, usecs);
}

void fetch_pace_ran_dry(struct fetch_pace *pace)
{
	uint64_t window = fetch_pace_window(pace);

	pace->grown = window >= pace->limits.max / FETCH_PACE_GROWTH ?
		pace->limits.max : window * FETCH_PACE_GROWTH;
}

uint64_t fetch_pace_rate(const struct fetch_pace *pace)
{
	unsigned int i, count = I_MIN(pace->sample_count, FETCH_PACE_SAMPLES);
	uint64_t rate = 0;

	for (i = 0; i < count; i++)
		rate = I_MAX(rate, pace->samples[i]);
	return rate;
}

uint64_t fetch_pace_window(const struct fetch_pace *pace)
{
	uint64_t window, usecs, rate = fetch_pace_rate(pace);

	if (rate == 0)
		window = pace->limits.start;
	else {
		usecs = pace->delay_usecs == UINT64_MAX ? 0 :
			I_MIN(pace->delay_usecs, FETCH_PACE_MAX_DELAY_USECS);
		usecs = usecs * 2 + FETCH_PACE_BUSY_USECS;
		/* no window of ours needs more than that */
		rate = I_MIN(rate, UINT64_MAX / usecs);
		window = rate * usecs / USECS;
	}
	window = I_MAX(window, pace->grown);
	return I_MIN(I_MAX(window, pace->limits.min), pace->limits.max);
}
