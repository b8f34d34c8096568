/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who the source is: migration_imapc_provider. Nothing is asked for its sake
   that imapc does not ask anyway: the greeting, capabilities, and the answer to
   the ID that imapc sends together with its login. */

#include "lib.h"
#include "str.h"
#include "imap-arg.h"
#include "compat-imapc.h"
#include "connection-cap.h"
#include "migration-run.h"
#include "source-filter.h"
#include "migration-imapc-private.h"

static void
provider_append_arg(string_t *text, const struct imap_arg *args)
{
	const struct imap_arg *list;
	const char *value;

	for (; args->type != IMAP_ARG_EOL; args++) {
		if (imap_arg_get_list(args, &list))
			provider_append_arg(text, list);
		else if (imap_arg_get_astring(args, &value))
			str_printfa(text, "%s ", value);
	}
}

/* ID ("name" "Dovecot" "version" "2.3"): returns NULL if it gives no name. */
static const char *provider_id_name(pool_t pool, const struct imap_arg *args)
{
	const struct imap_arg *list;
	const char *key, *value;

	if (!imap_arg_get_list(args, &list))
		return NULL;
	for (; !IMAP_ARG_IS_EOL(&list[0]) && !IMAP_ARG_IS_EOL(&list[1]);
	     list += 2) {
		if (imap_arg_get_astring(&list[0], &key) &&
		    strcasecmp(key, "name") == 0 &&
		    imap_arg_get_astring(&list[1], &value))
			return p_strdup(pool, value);
	}
	return NULL;
}

static void
provider_untagged_id(const struct imapc_untagged_reply *reply,
		     struct imapc_storage_client *client)
{
	struct migration_imapc_list *mlist;
	string_t *text;

	if (client->_list == NULL)
		return;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&client->_list->list);
	if (mlist == NULL || mlist->server_id != NULL)
		return;
	text = t_str_new(128);
	provider_append_arg(text, reply->args);
	mlist->server_id = p_strdup(mlist->list->list.pool, str_c(text));
	mlist->server_name = provider_id_name(mlist->list->list.pool,
					      reply->args);
}

/* The administrator's settings replace single values. */
static void
provider_override(const struct migration_imapc_settings *set,
		  struct provider_profile *profile)
{
	struct connection_cap cap;
	uoff_t daily;
	const char *error;

	if (!migration_imapc_daily_limit_parse(set->daily_limit, &daily, &error))
		i_unreached(); /* the settings were checked */
	if (strcmp(set->daily_limit, "auto") != 0)
		profile->daily_limit = daily;
	if (!migration_imapc_max_connections_parse(set, &cap, &error))
		i_unreached();
	if (!cap.counted || cap.max != 0)
		profile->host_connections = cap.max;
	if (set->message_limit != 0)
		profile->message_limit = set->message_limit;
	if (strcmp(set->filter_exclude, "auto") != 0)
		profile->exclude = set->filter_exclude;
	if (strcmp(set->sizes, "auto") != 0)
		profile->sizes_estimated = strcmp(set->sizes, "estimated") == 0;
	if (strcmp(set->headers, "auto") != 0)
		profile->headers_changed = strcmp(set->headers, "changed") == 0;
}

void migration_imapc_provider_init(struct migration_imapc_list *mlist)
{
	const struct migration_imapc_settings *set = mlist->muser->set;
	enum provider_type type;

	if (!provider_parse(set->provider, &type))
		type = PROVIDER_GENERIC;
	mlist->profile = *provider_profile(type);
	/* what has to be known before the server is */
	provider_override(set, &mlist->profile);
	imapc_storage_client_register_untagged(mlist->list->client, "ID",
					       provider_untagged_id);
	if (strcmp(set->provider, "auto") == 0) {
		compat_imapc_client_send_id(mlist->list->client->client,
					    "dovecot-migration");
	}
}

void migration_imapc_provider_detect(struct migration_imapc_list *mlist)
{
	const struct migration_imapc_settings *set = mlist->muser->set;
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	const struct provider_evidence evidence = {
		.host = mlist->list->set->imapc_host,
		.greeting = mlist->greeting,
		.capabilities = run->source_capabilities,
		.id = mlist->server_id,
	};
	enum provider_type type;
	const char *reason;

	if (provider_parse(set->provider, &type))
		reason = "migration_imapc_provider says so";
	else
		type = provider_detect(&evidence, &reason);
	mlist->profile = *provider_profile(type);
	provider_override(set, &mlist->profile);
	migration_run_set_provider(run, &mlist->profile, reason);
	source_filter_set(mlist->muser->user, set->filter_include,
			  mlist->profile.exclude);
	e_debug(mlist->muser->event, "the source is taken for %s: %s",
		mlist->profile.title, reason);
}
