/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "str.h"
#include "istream.h"
#include "imap-arg.h"
#include "mail-search-build.h"
#include "index-mail.h"
#include "imapc-storage.h"
#include "imapc-mail.h"
#include "imapc-client.h"
#include "source-select.h"
#include "mailbox-evidence.h"

/* Exchange refuses command lines of more than 10240 bytes by default. */
#define MAX_UIDSET_LENGTH 8000

struct evidence_read {
	struct mailbox *box;
	enum mailbox_evidence_type type;
	mailbox_evidence_callback_t *callback;
	void *context;

	/* imapc */
	struct imapc_client *client;
	unsigned int pending;
	char *error;
};

/* imapc's handlers of untagged replies have no context of their own and cannot
   be removed. One read runs at a time, in one thread. */
static struct evidence_read *present_read;

/* --- imapc --- */

static void
evidence_give(struct evidence_read *read, uint32_t uid,
	      struct mail_digest **digest)
{
	struct header_digest header;
	struct body_digest body;
	struct mailbox_evidence evidence = {
		.uid = uid, .size = UOFF_T_MAX, .header = &header,
		.body = read->type == MAILBOX_EVIDENCE_TEXT ? &body : NULL,
	};
	buffer_t *text;

	evidence.header_text = mail_digest_get_header_text(*digest,
						&evidence.header_text_size);
	text = buffer_create_dynamic(pool_datastack_create(),
				     evidence.header_text_size + 1);
	buffer_append(text, evidence.header_text, evidence.header_text_size);
	evidence.header_text = text->data;
	mail_digest_deinit(digest, &header, &body);
	read->callback(read->context, &evidence);
}

static void digest_file(struct mail_digest *digest, int fd)
{
	unsigned char buf[IO_BLOCK_SIZE];
	off_t offset = 0;
	ssize_t ret;

	while ((ret = pread(fd, buf, sizeof(buf), offset)) > 0) {
		mail_digest_more(digest, buf, ret);
		offset += ret;
	}
}

/* Large literals lie in files. Returns the argument's descriptor, or -1. */
static int
literal_fd(const struct imapc_untagged_reply *reply,
	   const struct imap_arg *arg)
{
	const struct imap_arg *list;
	unsigned int i, count;

	for (i = 0; i < reply->file_args_count; i++) {
		const struct imapc_arg_file *file = &reply->file_args[i];

		if (file->parent_arg == arg->parent &&
		    imap_arg_get_list_full(arg->parent, &list, &count) &&
		    file->list_idx < count && &list[file->list_idx] == arg)
			return file->fd;
	}
	return -1;
}

static void
fetch_text(struct evidence_read *read, uint32_t uid,
	   const struct imapc_untagged_reply *reply,
	   const struct imap_arg *arg)
{
	struct mail_digest *digest;
	const char *value;
	int fd;

	digest = mail_digest_init();
	if (arg->type == IMAP_ARG_LITERAL_SIZE ||
	    arg->type == IMAP_ARG_LITERAL_SIZE_NONSYNC) {
		if ((fd = literal_fd(reply, arg)) != -1)
			digest_file(digest, fd);
	} else if (imap_arg_get_nstring(arg, &value) && value != NULL) {
		mail_digest_more(digest, (const unsigned char *)value,
				 arg->str_len);
	}
	T_BEGIN {
		evidence_give(read, uid, &digest);
	} T_END;
}

/* All FETCH replies of the mailbox come here, also those that others asked
   for. */
static void fetch_reply(const struct imapc_untagged_reply *reply,
			struct imapc_mailbox *mbox)
{
	struct evidence_read *read = present_read;
	const struct imap_arg *list, *text = NULL;
	const char *name, *value;
	uint32_t uid = 0;
	uint64_t gmail_msgid = 0;
	uoff_t size = UOFF_T_MAX;

	if (read == NULL || read->box != &mbox->box ||
	    !imap_arg_get_list(&reply->args[0], &list))
		return;
	for (; list[0].type != IMAP_ARG_EOL && list[1].type != IMAP_ARG_EOL;
	     list += 2) {
		if (!imap_arg_get_atom(&list[0], &name))
			return;
		if (strcasecmp(name, "UID") == 0) {
			if (!imap_arg_get_atom(&list[1], &value) ||
			    str_to_uint32(value, &uid) < 0)
				return;
		} else if (strcasecmp(name, "RFC822.SIZE") == 0) {
			if (!imap_arg_get_atom(&list[1], &value) ||
			    str_to_uoff(value, &size) < 0)
				return;
		} else if (strcasecmp(name, "X-GM-MSGID") == 0) {
			/* of no use if it is no number, but no reason to
			   leave the mail out */
			if (!imap_arg_get_atom(&list[1], &value) ||
			    str_to_uint64(value, &gmail_msgid) < 0)
				gmail_msgid = 0;
		} else if (strcasecmp(name, read->type ==
				      MAILBOX_EVIDENCE_HEADER ?
				      "BODY[HEADER]" : "BODY[]") == 0) {
			text = &list[1];
		}
	}
	if (uid == 0)
		return;
	if (read->type == MAILBOX_EVIDENCE_SIZE) {
		const struct mailbox_evidence evidence = {
			.uid = uid, .size = size, .gmail_msgid = gmail_msgid
		};

		if (size != UOFF_T_MAX)
			read->callback(read->context, &evidence);
	} else if (text != NULL) {
		fetch_text(read, uid, reply, text);
	}
}

static void fetch_handler_register(struct imapc_mailbox *mbox)
{
	const struct imapc_mailbox_event_callback *callback;

	array_foreach(&mbox->untagged_callbacks, callback) {
		if (callback->callback == fetch_reply)
			return;
	}
	imapc_mailbox_register_untagged(mbox, "FETCH", fetch_reply);
}

static void fetch_finished(const struct imapc_command_reply *reply,
			   void *context)
{
	struct evidence_read *read = context;

	/* NO: some of the mails cannot be read, the others came */
	if (reply->state != IMAPC_COMMAND_STATE_OK &&
	    reply->state != IMAPC_COMMAND_STATE_NO && read->error == NULL)
		read->error = i_strdup(reply->text_full);
	read->pending--;
	imapc_client_stop(read->client);
}

static const char *
fetch_item(const struct imapc_mailbox *mbox, enum mailbox_evidence_type type)
{
	switch (type) {
	case MAILBOX_EVIDENCE_SIZE:
		return (mbox->capabilities & IMAPC_CAPABILITY_X_GM_EXT_1) == 0 ?
			"RFC822.SIZE" : "RFC822.SIZE X-GM-MSGID";
	case MAILBOX_EVIDENCE_HEADER:
		return "BODY.PEEK[HEADER]";
	case MAILBOX_EVIDENCE_TEXT:
		return "BODY.PEEK[]";
	}
	i_unreached();
}

static void fetch_send(struct evidence_read *read, struct imapc_mailbox *mbox,
		       const char *uidset)
{
	struct imapc_command *cmd =
		imapc_client_mailbox_cmd(mbox->client_box, fetch_finished, read);

	/* sent again if the connection is lost */
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	read->pending++;
	imapc_command_send(cmd, t_strdup_printf("UID FETCH %s (UID %s)", uidset,
						fetch_item(mbox, read->type)));
}

static void append_range(string_t *str, const struct seq_range *range)
{
	if (str_len(str) > 0)
		str_append_c(str, ',');
	str_printfa(str, "%u", range->seq1);
	if (range->seq1 != range->seq2)
		str_printfa(str, ":%u", range->seq2);
}

static int imapc_evidence_read(struct evidence_read *read,
			       const ARRAY_TYPE(seq_range) *uids,
			       const char **error_r)
{
	struct imapc_mailbox *mbox = (struct imapc_mailbox *)read->box;
	const struct seq_range *range;
	string_t *uidset = t_str_new(256);

	i_assert(present_read == NULL);
	fetch_handler_register(mbox);
	read->client = mbox->storage->client->client;
	/* what was waiting to be sent goes first */
	imapc_mail_fetch_flush(mbox);
	array_foreach(uids, range) {
		append_range(uidset, range);
		if (str_len(uidset) > MAX_UIDSET_LENGTH) {
			fetch_send(read, mbox, str_c(uidset));
			str_truncate(uidset, 0);
		}
	}
	if (str_len(uidset) > 0)
		fetch_send(read, mbox, str_c(uidset));

	present_read = read;
	while (read->pending > 0)
		imapc_client_run(read->client);
	present_read = NULL;
	if (read->error != NULL) {
		*error_r = t_strdup(read->error);
		i_free(read->error);
		return -1;
	}
	return 0;
}

/* --- any other storage --- */

static int mail_digest_text(struct mail *mail, enum mailbox_evidence_type type,
			    struct mail_digest *digest)
{
	struct istream *input;

	if (type == MAILBOX_EVIDENCE_HEADER) {
		if (mail_get_hdr_stream(mail, NULL, &input) < 0)
			return -1;
	} else if (mail_get_stream(mail, NULL, NULL, &input) < 0) {
		return -1;
	}
	return mail_digest_stream(digest, input);
}

static void mail_evidence(struct evidence_read *read, struct mail *mail)
{
	struct mailbox_evidence evidence = { .uid = mail->uid };
	struct mail_digest *digest;

	if (read->type == MAILBOX_EVIDENCE_SIZE) {
		if (mail_get_virtual_size(mail, &evidence.size) == 0)
			read->callback(read->context, &evidence);
		return;
	}
	digest = mail_digest_init();
	if (mail_digest_text(mail, read->type, digest) < 0)
		mail_digest_deinit(&digest, NULL, NULL);
	else
		evidence_give(read, mail->uid, &digest);
}

static int storage_evidence_read(struct evidence_read *read,
				 const ARRAY_TYPE(seq_range) *uids,
				 const char **error_r)
{
	struct mailbox_transaction_context *trans;
	struct mail_search_context *ctx;
	struct mail_search_args *args = mail_search_build_init();
	struct mail_search_arg *arg;
	struct mail *mail;
	int ret;

	arg = mail_search_build_add(args, SEARCH_UIDSET);
	p_array_init(&arg->value.seqset, args->pool, array_count(uids));
	array_append_array(&arg->value.seqset, uids);
	trans = mailbox_transaction_begin(read->box, 0, __func__);
	ctx = mailbox_search_init(trans, args, NULL,
		read->type == MAILBOX_EVIDENCE_SIZE ? MAIL_FETCH_VIRTUAL_SIZE :
		MAIL_FETCH_STREAM_HEADER, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(ctx, &mail)) T_BEGIN {
		mail_evidence(read, mail);
	} T_END;
	ret = mailbox_search_deinit(&ctx);
	(void)mailbox_transaction_commit(&trans);
	if (ret < 0)
		*error_r = mailbox_get_last_internal_error(read->box, NULL);
	return ret;
}

int mailbox_evidence_read(struct mailbox *box,
			  const ARRAY_TYPE(seq_range) *uids,
			  enum mailbox_evidence_type type,
			  mailbox_evidence_callback_t *callback, void *context,
			  const char **error_r)
{
	struct evidence_read read = {
		.box = box,
		.type = type,
		.callback = callback,
		.context = context,
	};

	if (array_count(uids) == 0)
		return 0;
	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) == 0 &&
	    ((struct imapc_mailbox *)box)->client_box != NULL) {
		if (migration_source_select(box, "evidence of its mails") < 0) {
			*error_r = t_strdup(mailbox_get_last_internal_error(box,
									    NULL));
			return -1;
		}
		return imapc_evidence_read(&read, uids, error_r);
	}
	return storage_evidence_read(&read, uids, error_r);
}
