/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROGRESS_RATE_H
#define PROGRESS_RATE_H

/* How fast a run is, and when it will be done. Fed at most once a second with
   what was done until then; knows no clock. */

#define PROGRESS_RATE_SAMPLES 32

struct progress_sample {
	uint64_t msecs;
	uint64_t mails, bytes;
};

/* Begins as all 0. */
struct progress_rate {
	/* the first, and a ring of the latest */
	struct progress_sample first;
	struct progress_sample samples[PROGRESS_RATE_SAMPLES];
	unsigned int count, next;
};

/* msecs: any clock that does not go back. A sample that is less than a second
   younger than the one before is ignored. */
void progress_rate_add(struct progress_rate *rate, uint64_t msecs,
		       uint64_t mails, uint64_t bytes);

/* Of the latest half minute, or of as much as there is; 0 before the second
   sample. Waits are part of the time. */
double progress_rate_mails(const struct progress_rate *rate);
double progress_rate_bytes(const struct progress_rate *rate);

/* Seconds until mails_left are done, or -1 if nothing is known yet. Taken is the
   slower of the latest half minute and the whole run, so that what a server's
   throttling has cost until now is expected to go on; then the rest of the
   present wait is added. */
int64_t progress_rate_eta_secs(const struct progress_rate *rate,
			       uint64_t mails_left, uint64_t wait_left_msecs);

#endif
