/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FETCH_WINDOW_H
#define FETCH_WINDOW_H

/* How far mails are asked for ahead of their use, and when what was asked for
   so far goes out as one command.

   A window has room while it holds less than each of its limits. A mail that
   is larger than a limit goes through alone, so that every mail goes through. */

struct fetch_window_limits {
	/* mails at once; at least 1 */
	unsigned int mails;
	/* sum of the mails' sizes; at least 1 */
	uint64_t bytes;
	/* mails at once that lie in a temporary file because they are larger
	   than file_min_size: each of them holds a file descriptor */
	unsigned int files;
	uint64_t file_min_size;
	/* what a mail is taken for whose size is not known yet */
	uint64_t unknown_size;
};

/* FETCH_WINDOW_SIZE_UNKNOWN as a size stands for limits.unknown_size */
#define FETCH_WINDOW_SIZE_UNKNOWN UINT64_MAX

struct fetch_window {
	struct fetch_window_limits limits;

	/* what the window holds: sent or not, not used up yet */
	unsigned int mails, files;
	uint64_t bytes;
	/* the part of it that was not sent yet */
	unsigned int unsent_mails;
	uint64_t unsent_bytes;
};

void fetch_window_init(struct fetch_window *window,
		       const struct fetch_window_limits *limits);

/* A mail enters the window, unsent. Returns the size that it was taken for,
   which fetch_window_remove() wants to see again. */
uint64_t fetch_window_add(struct fetch_window *window, uint64_t size);
/* The mail was used up. Nothing happens to what is unsent: a mail is used
   only after it was sent. */
void fetch_window_remove(struct fetch_window *window, uint64_t taken_size);
/* All that was unsent is sent. */
void fetch_window_sent(struct fetch_window *window);

/* TRUE if one more mail may enter. reason_r is set on both paths. */
bool fetch_window_has_room(const struct fetch_window *window,
			   const char **reason_r);
/* TRUE if what is unsent should go out now: half a window's worth, so that the
   server works on one half while the other half is being used. */
bool fetch_window_should_send(const struct fetch_window *window);

#endif
