/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-storage-private.h"
#include "save-journal.h"
#include "import-create.h"

/* A mailbox that does not exist is created with the source's UIDVALIDITY. */
static int create_new(struct mailbox *box, struct mailbox *source_box,
		      import_create_callback_t *create)
{
	struct mailbox_update update;
	struct mailbox_status status;

	mailbox_get_open_status(source_box, STATUS_UIDVALIDITY, &status);
	i_zero(&update);
	update.uid_validity = status.uidvalidity;
	return create(box, &update, FALSE);
}

/* TRUE if every mail that the source has can be saved into the mailbox with
   its UID. Dovecot keeps UIDNEXT when the UIDVALIDITY is changed. */
static bool uids_fit(struct mailbox *dest_box, struct mailbox *source_box)
{
	struct mailbox_status status;
	uint32_t first_uid;

	mailbox_get_open_status(dest_box, STATUS_MESSAGES | STATUS_UIDNEXT,
				&status);
	if (status.messages > 0 ||
	    mail_index_view_get_messages_count(source_box->view) == 0)
		return FALSE;
	mail_index_lookup_uid(source_box->view, 1, &first_uid);
	return first_uid >= status.uidnext;
}

/* Gives an existing mailbox without mails the UIDVALIDITY of the source, if all
   mails of the source can keep their UIDs there. It is not open. */
static int
adopt_uidvalidity(struct mailbox *dest_box, struct mailbox *source_box)
{
	struct mailbox_update update;
	struct mailbox_status status;
	struct mailbox *box;
	int ret;

	i_zero(&update);
	mailbox_get_open_status(source_box, STATUS_UIDVALIDITY, &status);
	update.uid_validity = status.uidvalidity;
	if (update.uid_validity == 0)
		return 0;

	box = mailbox_alloc(dest_box->list, dest_box->vname,
			    dest_box->flags & MAILBOX_FLAG_IGNORE_ACLS);
	ret = mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ);
	if (ret == 0 && uids_fit(box, source_box)) {
		mailbox_get_open_status(box, STATUS_UIDVALIDITY, &status);
		if (status.uidvalidity != update.uid_validity) {
			e_debug(box->event, "Import: the mailbox is empty, "
				"UIDVALIDITY %u of the source is taken over",
				update.uid_validity);
			ret = mailbox_update(box, &update);
		}
	}
	mailbox_free(&box);
	return ret;
}

/* Maildir would give the UIDVALIDITY to an existing INBOX with mails in it as
   well (QUIRKS.md, "maildir-create-update"). */
static int create_existing(struct mailbox *box, struct mailbox *source_box,
			   import_create_callback_t *create)
{
	enum mail_error error;
	int ret;

	ret = create(box, NULL, FALSE);
	if (ret < 0) {
		(void)mailbox_get_last_error(box, &error);
		if (error != MAIL_ERROR_EXISTS)
			return -1;
	}
	if (adopt_uidvalidity(box, source_box) < 0)
		return -1;
	if (ret < 0) {
		/* what stock expects of a mailbox that it can use */
		mail_storage_set_error(box->storage, MAIL_ERROR_EXISTS,
				       "Mailbox already exists");
	}
	return ret;
}

static int roll_back(struct mailbox *box)
{
	/* a handle of its own: it is closed afterwards */
	struct mailbox *rest = mailbox_alloc(box->list, box->vname,
				box->flags & MAILBOX_FLAG_IGNORE_ACLS);
	int ret = save_journal_roll_back(rest);

	mailbox_free(&rest);
	return ret;
}

int import_create_box(struct mailbox *box, struct mailbox *source_box,
		      import_create_callback_t *create)
{
	enum mailbox_existence existence;

	if (roll_back(box) < 0 || mailbox_exists(box, FALSE, &existence) < 0)
		return -1;
	return existence == MAILBOX_EXISTENCE_NONE ?
		create_new(box, source_box, create) :
		create_existing(box, source_box, create);
}
