/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef QUOTA_ROOM_H
#define QUOTA_ROOM_H

struct mail_user;
struct mailbox;

/* What the quota plugin leaves room for, if it is loaded. */
struct quota_room {
	/* UINT64_MAX: no limit */
	uint64_t bytes, mails;
};

/* The least that any of the user's quota roots has left. Returns 1, 0 if there
   is no quota, or -1 and error_r (data stack) if it could not be read. */
int quota_room_read(struct mail_user *user, struct quota_room *room_r,
		    const char **error_r);

/* TRUE if a mail of this size is too large for any user's mailbox
   (quota_max_mail_size, 2.4: quota_mail_size). */
bool quota_room_size_is_refused(struct mailbox *box, uoff_t size);

#endif
