/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "istream.h"
#include "imap-arg.h"
#include "imap-date.h"
#include "imap-util.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "migration-imapc-private.h"
#include "migration-imapc-slots.h"
#include "migration-imapc-spare.h"

#include <unistd.h>

struct migration_imapc_spare {
	struct migration_imapc_list *mlist;
	struct imapc_client *client;
	struct imapc_client_mailbox *box;
	char *remote_name;
	char *words;
	uint32_t uidvalidity;

	/* the command that is being waited for */
	bool done;
	enum imapc_command_state state;
	/* the FETCH that is being waited for */
	uint32_t uid;
	struct spare_reply *reply;

	bool logged_in;
};

/* imapc's own limit for connecting and logging in */
#define SPARE_CONNECT_TIMEOUT_MSECS (30*1000)
#define SPARE_STREAM_BUFFER_SIZE (128*1024)

static void
spare_set_words(struct migration_imapc_spare *spare, const char *words)
{
	i_free(spare->words);
	spare->words = i_strdup(words);
}

const char *migration_imapc_spare_words(struct migration_imapc_spare *spare)
{
	return spare->words == NULL ? "" : spare->words;
}

/* ---- replies ---- */

static void
spare_take_text(struct migration_imapc_spare *spare,
		const struct imapc_untagged_reply *reply,
		const struct imap_arg *arg)
{
	const char *value;
	int fd;

	if (spare->reply->text != NULL)
		return;
	if (migration_imapc_reply_file(reply, arg, &fd)) {
		fd = dup(fd);
		if (fd == -1) {
			e_error(spare->client->event,
				"dup(fetched message) failed: %m");
			return;
		}
		spare->reply->text = i_stream_create_fd_autoclose(&fd,
						SPARE_STREAM_BUFFER_SIZE);
	} else if (imap_arg_get_nstring(arg, &value) && value != NULL) {
		/* a text may contain NULs */
		spare->reply->text =
			i_stream_create_copy_from_data(value, arg->str_len);
	}
}

static int spare_count_parts(const struct imap_arg *arg)
{
	const struct imap_arg *list;
	int count = 0;

	if (!imap_arg_get_list(arg, &list))
		return -1;
	while (list[count].type == IMAP_ARG_LIST)
		count++;
	return count;
}

static void
spare_take_item(struct migration_imapc_spare *spare,
		const struct imapc_untagged_reply *reply,
		const char *name, const struct imap_arg *arg)
{
	struct spare_reply *dest = spare->reply;
	const char *value;
	uint64_t num;
	int tz;

	if (strcasecmp(name, "INTERNALDATE") == 0) {
		if (imap_arg_get_astring(arg, &value))
			(void)imap_parse_datetime(value, &dest->internaldate, &tz);
	} else if (strcasecmp(name, "SAVEDATE") == 0) {
		if (imap_arg_get_astring(arg, &value))
			(void)imap_parse_datetime(value, &dest->save_date, &tz);
	} else if (strcasecmp(name, "RFC822.SIZE") == 0) {
		if (imap_arg_get_atom(arg, &value) &&
		    str_to_uint64(value, &num) == 0)
			dest->size = num;
	} else if (strcasecmp(name, "BODYSTRUCTURE") == 0) {
		dest->parts_count = spare_count_parts(arg);
	} else if (strncasecmp(name, "BODY[", 5) == 0) {
		spare_take_text(spare, reply, arg);
	}
}

static void
spare_untagged_fetch(struct migration_imapc_spare *spare,
		     const struct imapc_untagged_reply *reply)
{
	const struct imap_arg *list, *p;
	const char *name, *value;
	uint32_t uid = 0;

	if (spare->reply == NULL ||
	    !imap_arg_get_list(&reply->args[0], &list))
		return;
	for (p = list; !IMAP_ARG_IS_EOL(&p[0]) && !IMAP_ARG_IS_EOL(&p[1]);
	     p += 2) {
		if (imap_arg_get_atom(&p[0], &name) &&
		    strcasecmp(name, "UID") == 0 &&
		    imap_arg_get_atom(&p[1], &value) &&
		    str_to_uint32(value, &uid) < 0)
			return;
	}
	if (uid != spare->uid)
		return;
	spare->reply->exists = TRUE;
	for (p = list; !IMAP_ARG_IS_EOL(&p[0]) && !IMAP_ARG_IS_EOL(&p[1]);
	     p += 2) {
		if (imap_arg_get_atom(&p[0], &name))
			spare_take_item(spare, reply, name, &p[1]);
	}
}

static void
spare_untagged(const struct imapc_untagged_reply *reply, void *context)
{
	struct migration_imapc_spare *spare = context;
	const char *text;

	if (reply->resp_text_key != NULL && reply->resp_text_value != NULL &&
	    strcasecmp(reply->resp_text_key, "UIDVALIDITY") == 0 &&
	    str_to_uint32(reply->resp_text_value, &spare->uidvalidity) < 0)
		spare->uidvalidity = 0;
	if (strcasecmp(reply->name, "FETCH") == 0)
		spare_untagged_fetch(spare, reply);
	else if (strcasecmp(reply->name, "BYE") == 0) {
		text = imap_args_to_str(reply->args);
		spare_set_words(spare, t_strconcat("BYE ", text, NULL));
	}
}

static void
spare_callback(const struct imapc_command_reply *reply, void *context)
{
	struct migration_imapc_spare *spare = context;

	spare->done = TRUE;
	spare->state = reply->state;
	if (reply->state != IMAPC_COMMAND_STATE_DISCONNECTED)
		spare_set_words(spare, reply->text_full);
	else if (spare->words == NULL)
		spare_set_words(spare, reply->text_full);
	imapc_client_stop(spare->client);
}

static void spare_begin(struct migration_imapc_spare *spare)
{
	spare->done = FALSE;
	i_free(spare->words);
}

static enum spare_result spare_wait(struct migration_imapc_spare *spare)
{
	while (!spare->done)
		imapc_client_run(spare->client);
	switch (spare->state) {
	case IMAPC_COMMAND_STATE_OK:
		return SPARE_OK;
	case IMAPC_COMMAND_STATE_NO:
	case IMAPC_COMMAND_STATE_BAD:
	case IMAPC_COMMAND_STATE_AUTH_FAILED:
		return SPARE_REFUSED;
	case IMAPC_COMMAND_STATE_DISCONNECTED:
		return SPARE_LOST;
	}
	i_unreached();
}

/* ---- connection ---- */

static struct migration_imapc_spare *
spare_init(struct migration_imapc_list *mlist)
{
	unsigned int timeout_msecs = mlist->muser->set->timeout * 1000;
	struct migration_imapc_spare *spare;

	spare = i_new(struct migration_imapc_spare, 1);
	spare->mlist = mlist;
	spare->client = compat_imapc_client_clone(mlist->list->client->client);
	/* who uses it decides when to connect again */
	compat_imapc_client_set_retry_count(spare->client, 0);
	if (timeout_msecs != 0) {
		compat_imapc_client_set_timeouts(spare->client,
			I_MIN(timeout_msecs, SPARE_CONNECT_TIMEOUT_MSECS),
			timeout_msecs);
	}
	imapc_client_register_untagged(spare->client, spare_untagged, spare);
	return spare;
}

struct migration_imapc_spare *
migration_imapc_spare_get(struct migration_imapc_list *mlist)
{
	if (mlist->spare == NULL) {
		mlist->spare = spare_init(mlist);
		/* the first connection has */
		mlist->spare_failures.reached = TRUE;
	}
	return mlist->spare;
}

void migration_imapc_spare_close(struct migration_imapc_spare *spare)
{
	if (spare->box != NULL)
		imapc_client_mailbox_close(&spare->box);
	imapc_client_disconnect(spare->client);
	spare->logged_in = FALSE;
	i_free(spare->remote_name);
	migration_imapc_slots_release_second(spare->mlist);
}

void migration_imapc_spare_rest(struct migration_imapc_list *mlist)
{
	struct migration_imapc_spare *spare = mlist->spare;

	if (!mlist->spare_in_turn)
		return;
	if (spare->box != NULL)
		imapc_client_mailbox_close(&spare->box);
	if (spare->logged_in) {
		/* the server shall know that it ended before the first one
		   comes back */
		imapc_client_logout(spare->client);
		spare->client->logging_out = FALSE;
	}
	migration_imapc_spare_close(spare);
}

void migration_imapc_spare_deinit(struct migration_imapc_spare **_spare)
{
	struct migration_imapc_spare *spare = *_spare;

	*_spare = NULL;
	if (spare->box != NULL)
		imapc_client_mailbox_close(&spare->box);
	if (spare->logged_in)
		imapc_client_logout(spare->client);
	imapc_client_deinit(&spare->client);
	migration_imapc_slots_release_second(spare->mlist);
	i_free(spare->remote_name);
	i_free(spare->words);
	i_free(spare);
}

static enum spare_result spare_login(struct migration_imapc_spare *spare)
{
	enum spare_result result;

	migration_imapc_spare_close(spare);
	migration_imapc_slots_take_second(spare->mlist);
	spare_begin(spare);
	imapc_client_set_login_callback(spare->client, spare_callback, spare);
	imapc_client_login(spare->client);
	result = spare_wait(spare);
	spare->logged_in = result == SPARE_OK;
	return result;
}

enum spare_result
migration_imapc_spare_open(struct migration_imapc_spare *spare,
			   const char *remote_name, bool examine,
			   uint32_t *uidvalidity_r, bool *login_r)
{
	struct imapc_command *cmd;
	enum spare_result result;

	*login_r = FALSE;
	if (spare->box != NULL && imapc_client_mailbox_is_opened(spare->box) &&
	    strcmp(spare->remote_name, remote_name) == 0) {
		*uidvalidity_r = spare->uidvalidity;
		return SPARE_OK;
	}
	result = spare_login(spare);
	if (result != SPARE_OK) {
		*login_r = TRUE;
		return result;
	}

	spare->box = imapc_client_mailbox_open(spare->client, spare);
	spare->uidvalidity = 0;
	spare->remote_name = i_strdup(remote_name);
	spare_begin(spare);
	cmd = imapc_client_mailbox_cmd(spare->box, spare_callback, spare);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_SELECT);
	imapc_command_sendf(cmd, examine ? "EXAMINE %s" : "SELECT %s",
			    remote_name);
	result = spare_wait(spare);
	if (result != SPARE_OK)
		migration_imapc_spare_close(spare);
	*uidvalidity_r = spare->uidvalidity;
	return result;
}

enum spare_result
migration_imapc_spare_fetch(struct migration_imapc_spare *spare, uint32_t uid,
			    const char *items, struct spare_reply *reply_r)
{
	struct imapc_command *cmd;
	enum spare_result result;

	i_zero(reply_r);
	reply_r->size = UOFF_T_MAX;
	reply_r->internaldate = reply_r->save_date = (time_t)-1;
	reply_r->parts_count = -1;
	if (spare->box == NULL || !imapc_client_mailbox_is_opened(spare->box)) {
		spare_set_words(spare, "Disconnected from server");
		return SPARE_LOST;
	}

	spare_begin(spare);
	spare->uid = uid;
	spare->reply = reply_r;
	cmd = imapc_client_mailbox_cmd(spare->box, spare_callback, spare);
	imapc_command_send(cmd, t_strdup_printf("UID FETCH %u (%s)", uid, items));
	result = spare_wait(spare);
	spare->reply = NULL;
	if (result == SPARE_OK && !reply_r->exists)
		return SPARE_NO_DATA;
	return result;
}
