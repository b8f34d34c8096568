/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FETCH_PACE_H
#define FETCH_PACE_H

/* How many bytes should be asked for ahead of their use: as many as the line
   carries while a question and its answer are under way, twice, and while the
   mails that came are being written. Fewer, and the line runs dry; more only
   fills queues of a slow line, in which every other question then waits.

   What the line carries is measured where it can be: between two moments at
   which everything that had come was read, because somebody had to wait for the
   next byte. If nobody ever waits the line is faster than we are; that the
   window is too small then shows when all that was asked for is here before
   more is asked for. */

/* How many measurements are remembered; the best of them counts, since anything
   but the line can only make them worse */
#define FETCH_PACE_SAMPLES 8

struct fetch_pace_limits {
	/* bytes before anything was measured; at least min, at most max */
	uint64_t start;
	/* bytes; at least 1, at most max */
	uint64_t min, max;
};

struct fetch_pace {
	struct fetch_pace_limits limits;

	/* bytes a second; 0 = not measured */
	uint64_t samples[FETCH_PACE_SAMPLES];
	unsigned int sample_count;
	/* the shortest time from a question to its answer; UINT64_MAX = not
	   measured */
	uint64_t delay_usecs;
	/* the last moment at which all that had come was read; 0 = none */
	uint64_t drained_usecs;
	/* what came since then */
	uint64_t bytes;
	/* the line ran dry at this many bytes; 0 = it did not, or was measured
	   since then */
	uint64_t grown;
};

/* limits are put in order if they contradict each other: max wins. */
void fetch_pace_init(struct fetch_pace *pace,
		     const struct fetch_pace_limits *limits);

/* So many bytes came. */
void fetch_pace_arrived(struct fetch_pace *pace, uint64_t bytes);
/* Somebody waited for the server from one time to the other. Times are of one
   clock that does not go back, in microseconds. under_way is FALSE if nothing
   that was asked for is missing any more: then what comes next measures the
   distance, not the line. */
void fetch_pace_waited(struct fetch_pace *pace, uint64_t begin_usecs,
		       uint64_t end_usecs, bool under_way);
/* A question was answered after this time. */
void fetch_pace_answered(struct fetch_pace *pace, uint64_t usecs);
/* All that was asked for is here, and more is wanted. */
void fetch_pace_ran_dry(struct fetch_pace *pace);

/* Bytes a second, 0 if not known. */
uint64_t fetch_pace_rate(const struct fetch_pace *pace);
/* How many bytes to ask for ahead; from limits.min to limits.max. */
uint64_t fetch_pace_window(const struct fetch_pace *pace);

#endif
