/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* migration_gmail_objectid: other servers that give messages an id which is the
   same in all mailboxes (RFC 8474). Their messages are downloaded and stored
   once, as Gmail's; they have no labels. */

#include "lib.h"
#include "imap-arg.h"
#include "imapc-client.h"
#include "migration-run.h"
#include "migration-gmail-private.h"

static void
objectid_untagged_capability(const struct imapc_untagged_reply *reply,
			     struct imapc_storage_client *client)
{
	struct migration_gmail_list *mlist =
		MIGRATION_GMAIL_LIST_CONTEXT(&client->_list->list);
	const struct imap_arg *args;

	for (args = reply->args; mlist != NULL && !IMAP_ARG_IS_EOL(args); args++) {
		if (imap_arg_atom_equals(args, "OBJECTID"))
			mlist->objectid = TRUE;
	}
}

/* imapc knows the capabilities that it uses, and no others */
static void objectid_ask(struct migration_gmail_list *mlist)
{
	struct imapc_storage_client *client = mlist->list->client;
	struct imapc_simple_context sctx;
	struct imapc_command *cmd;

	imapc_storage_client_register_untagged(client, "CAPABILITY",
					       objectid_untagged_capability);
	imapc_simple_context_init(&sctx, client);
	cmd = imapc_client_cmd(client->client, imapc_simple_callback, &sctx);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	imapc_command_send(cmd, "CAPABILITY");
	imapc_simple_run(&sctx, &cmd);
	/* without an answer it is not known, and the run goes on without */
	imapc_storage_client_unregister_untagged(client, "CAPABILITY");
}

/* migration_imapc keeps what the server says of itself. */
static bool objectid_is_known(struct migration_gmail_list *mlist)
{
	const struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);

	if (run->source_capabilities == NULL)
		return FALSE;
	mlist->objectid = str_array_icase_find(
		t_strsplit_spaces(run->source_capabilities, " "), "OBJECTID");
	return TRUE;
}

bool migration_gmail_objectid_is_used(struct migration_gmail_list *mlist)
{
	if (!mlist->muser->set->objectid)
		return FALSE;
	if (!mlist->objectid_asked) {
		mlist->objectid_asked = TRUE;
		if (!objectid_is_known(mlist))
			objectid_ask(mlist);
		e_debug(mlist->muser->event, "%s %s OBJECTID "
			"(migration_gmail_objectid)",
			mlist->list->set->imapc_host,
			mlist->objectid ? "has" : "has no");
	}
	return mlist->objectid;
}

/* EMAILID (M6d99ac3275bb4e) */
const char *migration_gmail_objectid_parse(const struct imap_arg *arg)
{
	const struct imap_arg *list;
	const char *value;

	return imap_arg_get_list(arg, &list) &&
		imap_arg_get_astring(list, &value) ? value : NULL;
}
