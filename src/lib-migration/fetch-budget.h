/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FETCH_BUDGET_H
#define FETCH_BUDGET_H

/* How much may be downloaded from an account: so many bytes in any 24 hours,
   because the server's operator allows no more, and so many bytes a second,
   because the line or the server is needed by others; or so many mails a
   second. The bytes are counted by hours and outlive the run. */

#define FETCH_BUDGET_HOURS 24

struct fetch_budget_limits {
	/* bytes in any 24 hours; 0 = no limit */
	uint64_t daily;
	/* bytes a second; 0 = no limit */
	uint64_t rate;
	/* mails a second; 0 = no limit */
	unsigned int mail_rate;
};

/* What was asked for and is not counted yet */
struct fetch_budget_ahead {
	uint64_t bytes;
	unsigned int mails;
};

struct fetch_budget {
	struct fetch_budget_limits limits;
	/* the hour (time / 3600) that the first of the numbers belongs to, and
	   the bytes of this one and of the hours before it */
	time_t hour;
	uint64_t bytes[FETCH_BUDGET_HOURS];

	/* for the rate: since when this run counts, and how much it has */
	uint64_t rate_start_msecs, rate_bytes;
	unsigned int rate_mails;
};

enum fetch_budget_verdict {
	FETCH_BUDGET_GO,
	/* go on after a pause */
	FETCH_BUDGET_WAIT,
	/* stop the run here, and continue another time */
	FETCH_BUDGET_STOP,
};

struct fetch_budget_answer {
	enum fetch_budget_verdict verdict;
	/* FETCH_BUDGET_WAIT: for how long */
	unsigned int wait_msecs;
	/* FETCH_BUDGET_STOP: by then the mail fits, and a quarter of the daily
	   limit is free, so that a run is worth its while */
	time_t continue_at;
	/* always set */
	const char *reason;
};

void fetch_budget_init(struct fetch_budget *budget,
		       const struct fetch_budget_limits *limits);

/* A mail of so many bytes was downloaded; 0 only begins to measure the rate.
   Times never go back: what comes late counts as now. */
void fetch_budget_add(struct fetch_budget *budget, uint64_t now_msecs,
		      uint64_t bytes);
/* Downloaded in the 24 hours before now. */
uint64_t fetch_budget_used(const struct fetch_budget *budget, time_t now);

/* May the next mail be asked for? size is its size; 0 if it is not known. A mail that
   is larger than a limit goes when nothing else was downloaded before it, so
   that every mail goes some day. */
void fetch_budget_ask(const struct fetch_budget *budget, uint64_t now_msecs,
		      const struct fetch_budget_ahead *ahead, uint64_t size,
		      struct fetch_budget_answer *answer_r);

/* The numbers as text, without blanks at its ends, and back. A text that is
   not understood is refused with -1, and the budget stays as it is. */
void fetch_budget_export(const struct fetch_budget *budget, string_t *dest);
int fetch_budget_import(struct fetch_budget *budget, const char *text);

#endif
