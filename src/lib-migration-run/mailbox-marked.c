/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-storage-private.h"
#include "mailbox-list-private.h"
#include "mailbox-marked.h"

static int unmark(struct mailbox *box)
{
	if (mailbox_mark_index_deleted(box, FALSE) < 0)
		return -1;
	/* it was opened as a deleted one */
	mailbox_close(box);
	return 0;
}

int mailbox_delete_marked(struct mailbox *box)
{
	if (mailbox_delete(box) == 0)
		return 0;
	if (!box->mailbox_deleted || unmark(box) < 0)
		return -1;
	return mailbox_delete(box);
}

static bool is_there(struct mailbox *box)
{
	enum mailbox_existence existence;

	return mailbox_exists(box, FALSE, &existence) == 0 &&
		existence == MAILBOX_EXISTENCE_SELECT;
}

static bool is_marked(struct mailbox *box)
{
	struct mailbox *reader;
	bool marked;

	/* who opens it to write takes a mark away that is 30 seconds old, and
	   its UIDs would stay used */
	reader = mailbox_alloc(box->list, box->vname, MAILBOX_FLAG_READONLY |
			       MAILBOX_FLAG_IGNORE_ACLS);
	marked = mailbox_open(reader) < 0 && reader->mailbox_deleted;
	mailbox_free(&reader);
	return marked;
}

void mailbox_finish_deletion(struct mailbox *_box)
{
	struct mailbox *box;

	/* opening could make a mailbox that has auto=create; and allocating one
	   costs more than this */
	if (!is_there(_box))
		return;
	box = mailbox_alloc(_box->list, _box->vname, MAILBOX_FLAG_IGNORE_ACLS);
	if (is_marked(box)) {
		if (unmark(box) == 0 && mailbox_delete_empty(box) == 0) {
			i_info("Mailbox %s: its deletion, which was "
			       "interrupted, is completed", box->vname);
		} else {
			i_info("Mailbox %s: its deletion was interrupted, and "
			       "is not completed: %s", box->vname,
			       mailbox_get_last_internal_error(box, NULL));
		}
	}
	mailbox_free(&box);
}

bool mailbox_finish_deletion_found(struct mailbox *box)
{
	if (mailbox_list_lock(box->list) < 0)
		return FALSE;
	mailbox_finish_deletion(box);
	mailbox_list_unlock(box->list);
	return is_there(box);
}
