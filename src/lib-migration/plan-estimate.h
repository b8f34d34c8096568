/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLAN_ESTIMATE_H
#define PLAN_ESTIMATE_H

/* How long a run will take. Pure. */

struct plan_estimate_input {
	/* what is to be copied */
	uint64_t bytes, mails;
	/* what was downloaded to measure; 0 mails: nothing */
	uint64_t sample_bytes, sample_mails, sample_msecs;
	/* bytes that the source gives in any 24 hours, and those that it has
	   given already; 0 is no limit */
	uint64_t daily_bytes, used_bytes;
};

struct plan_estimate {
	/* of copying alone, at the measured speed; 0 if that is not known */
	uint64_t secs;
	/* runs, each on another day, that the daily limit makes of it; 0
	   without a limit, 1 if all fits into today */
	unsigned int days;
};

void plan_estimate(const struct plan_estimate_input *input,
		   struct plan_estimate *estimate_r);

/* "about 2 h 5 min at 1.2 MB/s, measured with 10 mails; 2500 MB/day: 3 days"
   (data stack) */
const char *plan_estimate_text(const struct plan_estimate_input *input,
			       const struct plan_estimate *estimate);

#endif
