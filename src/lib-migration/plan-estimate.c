/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "plan-estimate.h"

#define MEGABYTE 1000000

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0 ? 1 : 0);
}

/* By bytes or by mails, whichever takes longer: small mails cost their number,
   large ones their size. */
static uint64_t estimate_secs(const struct plan_estimate_input *input)
{
	double by_bytes = 0, by_mails, msecs = I_MAX(input->sample_msecs, 1);

	if (input->sample_mails == 0 || input->mails == 0)
		return 0;
	by_mails = msecs * input->mails / input->sample_mails;
	if (input->sample_bytes > 0)
		by_bytes = msecs * input->bytes / input->sample_bytes;
	return I_MAX((uint64_t)(I_MAX(by_bytes, by_mails) / 1000), 1);
}

static unsigned int estimate_days(const struct plan_estimate_input *input)
{
	uint64_t today;

	if (input->daily_bytes == 0)
		return 0;
	today = input->daily_bytes -
		I_MIN(input->daily_bytes, input->used_bytes);
	if (input->bytes <= today)
		return 1;
	/* if nothing fits today, today is lost */
	return 1 + div_up(input->bytes - today, input->daily_bytes);
}

void plan_estimate(const struct plan_estimate_input *input,
		   struct plan_estimate *estimate_r)
{
	estimate_r->secs = estimate_secs(input);
	estimate_r->days = estimate_days(input);
}

static void append_duration(string_t *dest, uint64_t secs)
{
	if (secs < 60)
		str_printfa(dest, "%"PRIu64" s", secs);
	else if (secs < 3600)
		str_printfa(dest, "%"PRIu64" min", div_up(secs, 60));
	else {
		str_printfa(dest, "%"PRIu64" h %"PRIu64" min", secs / 3600,
			    secs % 3600 / 60);
	}
}

const char *plan_estimate_text(const struct plan_estimate_input *input,
			       const struct plan_estimate *estimate)
{
	string_t *str = t_str_new(128);

	if (input->mails == 0)
		return "nothing to copy";
	if (estimate->secs == 0)
		str_append(str, "time not known, no mail was read");
	else {
		str_append(str, "about ");
		append_duration(str, estimate->secs);
		str_printfa(str, " at %.2f MB/s, measured with %"PRIu64" mails",
			    (double)input->sample_bytes * 1000 / MEGABYTE /
			    I_MAX(input->sample_msecs, 1), input->sample_mails);
	}
	if (estimate->days > 0) {
		str_printfa(str, "; %"PRIu64" MB/day: %u %s",
			    input->daily_bytes / MEGABYTE, estimate->days,
			    estimate->days == 1 ? "day" : "days");
	}
	return str_c(str);
}
