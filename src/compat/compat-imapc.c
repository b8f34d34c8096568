/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "str.h"
#include "lib-event.h"
#include "mail-user.h"
#include "mail-storage-settings.h"
#include "mailbox-list-private.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "imapc-settings.h"
#include "imapc-storage.h"
#include "imapc-list.h"
#include "list-compat.h"
#include "compat-imapc.h"

#include <ctype.h>

#if DOVECOT_PREREQ(2, 4, 0)

#include "dict.h"
#include "settings.h"

bool compat_imapc_user_keeps_metadata(struct mail_user *user)
{
	struct event *event = event_create(user->event);
	struct dict *dict;
	const char *error;
	int ret;

	settings_event_add_filter_name(event, "mail_attribute");
	ret = dict_init_auto(event, &dict, &error);
	event_unref(&event);
	if (ret > 0)
		dict_deinit(&dict);
	/* an error of the dict is told by who uses it */
	return ret != 0;
}

bool compat_imapc_reads_metadata(void)
{
	return TRUE;
}

bool compat_imapc_has_feature(const struct imapc_settings *set,
			      enum compat_imapc_feature feature)
{
	enum imapc_features features = set->parsed_features;

	switch (feature) {
	case COMPAT_IMAPC_FEATURE_FETCH_SIZE:
		return (features & IMAPC_FEATURE_NO_FETCH_SIZE) == 0;
	case COMPAT_IMAPC_FEATURE_FETCH_HEADERS:
		return (features & IMAPC_FEATURE_NO_FETCH_HEADERS) == 0;
	case COMPAT_IMAPC_FEATURE_DELAY_LOGIN:
		return (features & IMAPC_FEATURE_NO_DELAY_LOGIN) == 0;
	case COMPAT_IMAPC_FEATURE_SEARCH:
		return (features & IMAPC_FEATURE_NO_SEARCH) == 0;
	case COMPAT_IMAPC_FEATURE_GUID_FORCED:
		return (features & IMAPC_FEATURE_GUID_FORCED) != 0;
	case COMPAT_IMAPC_FEATURE_GMAIL_MIGRATION:
		return (features & IMAPC_FEATURE_GMAIL_MIGRATION) != 0;
	}
	i_unreached();
}

const char *
compat_imapc_user_enable_features(struct mail_user *user ATTR_UNUSED)
{
	/* what is off was turned off by the administrator */
	return "";
}

bool compat_imapc_has_metadata(const struct imapc_settings *set,
			       enum imapc_capability capabilities)
{
	return (set->parsed_features & IMAPC_FEATURE_NO_METADATA) == 0 &&
		(capabilities & IMAPC_CAPABILITY_METADATA) != 0;
}

bool compat_imapc_enable_modseqs(const struct imapc_settings *set ATTR_UNUSED)
{
	return FALSE;
}

const struct imapc_settings *
compat_imapc_settings_with_search(const struct imapc_settings *set,
				  pool_t pool ATTR_UNUSED)
{
	/* off means that the administrator turned it off */
	return set;
}

static bool compat_imapc_wants_modseqs(const struct imapc_settings *set)
{
	return (set->parsed_features & IMAPC_FEATURE_NO_MODSEQ) == 0;
}

char compat_imapc_list_get_escape_char(const struct mailbox_list *list)
{
	return list->mail_set->mailbox_list_visible_escape_char[0];
}

bool compat_imapc_percent_is_misread(void)
{
	return TRUE;
}

void compat_imapc_client_set_retry_count(struct imapc_client *client,
					 unsigned int count)
{
	struct imapc_settings *set = (struct imapc_settings *)client->set;

	set->imapc_connection_retry_count = count;
	if (set->imapc_connection_retry_interval_msecs == 0)
		set->imapc_connection_retry_interval_msecs = 1000;
}

void compat_imapc_client_set_timeouts(struct imapc_client *client,
				      unsigned int connect_msecs,
				      unsigned int command_msecs)
{
	struct imapc_settings *set = (struct imapc_settings *)client->set;

	set->imapc_connection_timeout_interval_msecs = connect_msecs;
	set->imapc_cmd_timeout_secs = (command_msecs + 999) / 1000;
}

void compat_imapc_client_send_id(struct imapc_client *client,
				 const char *session_id_prefix)
{
	if (client->params.session_id_prefix == NULL)
		client->params.session_id_prefix = session_id_prefix;
}

struct imapc_client *
compat_imapc_client_clone(const struct imapc_client *client)
{
	/* what the original was made with; the settings are looked up again */
	const struct imapc_parameters params = {
		.session_id_prefix = client->params.session_id_prefix,
		.temp_path_prefix = client->params.temp_path_prefix,
		.override_dns_client_socket_path =
			client->dns_client_socket_path,
		.override_rawlog_dir = client->imapc_rawlog_dir,
		.override_password = client->password,
		.flags = client->params.flags,
	};

	return imapc_client_init(&params, event_get_parent(client->event));
}

void compat_imapc_client_add_connect_timeout(struct imapc_client *client,
					     unsigned int default_msecs,
					     unsigned int add_msecs)
{
	struct imapc_settings *set = (struct imapc_settings *)client->set;
	unsigned int msecs = set->imapc_connection_timeout_interval_msecs;

	set->imapc_connection_timeout_interval_msecs =
		(msecs == 0 ? default_msecs : msecs) + add_msecs;
}

#else

void compat_imapc_client_add_connect_timeout(struct imapc_client *client,
					     unsigned int default_msecs,
					     unsigned int add_msecs)
{
	unsigned int msecs = client->set.connect_timeout_msecs;

	client->set.connect_timeout_msecs =
		(msecs == 0 ? default_msecs : msecs) + add_msecs;
}

bool compat_imapc_user_keeps_metadata(struct mail_user *user ATTR_UNUSED)
{
	/* 2.3 reads no METADATA */
	return TRUE;
}

bool compat_imapc_reads_metadata(void)
{
	return FALSE;
}

static enum imapc_features
compat_imapc_feature_bit(enum compat_imapc_feature feature)
{
	switch (feature) {
	case COMPAT_IMAPC_FEATURE_FETCH_SIZE:
		return IMAPC_FEATURE_RFC822_SIZE;
	case COMPAT_IMAPC_FEATURE_FETCH_HEADERS:
		return IMAPC_FEATURE_FETCH_HEADERS;
	case COMPAT_IMAPC_FEATURE_DELAY_LOGIN:
		return IMAPC_FEATURE_DELAY_LOGIN;
	case COMPAT_IMAPC_FEATURE_SEARCH:
		return IMAPC_FEATURE_SEARCH;
	case COMPAT_IMAPC_FEATURE_GUID_FORCED:
		return IMAPC_FEATURE_GUID_FORCED;
	case COMPAT_IMAPC_FEATURE_GMAIL_MIGRATION:
		return IMAPC_FEATURE_GMAIL_MIGRATION;
	}
	i_unreached();
}

bool compat_imapc_has_feature(const struct imapc_settings *set,
			      enum compat_imapc_feature feature)
{
	return (set->parsed_features & compat_imapc_feature_bit(feature)) != 0;
}

const char *compat_imapc_user_enable_features(struct mail_user *user)
{
	static const struct {
		enum compat_imapc_feature feature;
		const char *name;
	} wanted[] = {
		{ COMPAT_IMAPC_FEATURE_FETCH_SIZE, "rfc822.size" },
		{ COMPAT_IMAPC_FEATURE_FETCH_HEADERS, "fetch-headers" },
		{ COMPAT_IMAPC_FEATURE_DELAY_LOGIN, "delay-login" },
	};
	/* these settings were expanded for this user and belong to it */
	struct imapc_settings *set = (struct imapc_settings *)
		mail_user_set_get_driver_settings(user->set_info, user->set,
						  IMAPC_STORAGE_NAME);
	string_t *str = t_str_new(64);
	unsigned int i;

	if (set == NULL)
		return "";
	for (i = 0; i < N_ELEMENTS(wanted); i++) {
		if (compat_imapc_has_feature(set, wanted[i].feature))
			continue;
		set->parsed_features |= compat_imapc_feature_bit(wanted[i].feature);
		if (str_len(str) > 0)
			str_append_c(str, ' ');
		str_append(str, wanted[i].name);
	}
	return str_c(str);
}

bool compat_imapc_has_metadata(const struct imapc_settings *set ATTR_UNUSED,
			       enum imapc_capability capabilities ATTR_UNUSED)
{
	return FALSE;
}

bool compat_imapc_enable_modseqs(const struct imapc_settings *_set)
{
	/* expanded for this user, see above */
	struct imapc_settings *set = (struct imapc_settings *)_set;

	if ((set->parsed_features & IMAPC_FEATURE_MODSEQ) != 0)
		return FALSE;
	set->parsed_features |= IMAPC_FEATURE_MODSEQ;
	return TRUE;
}

const struct imapc_settings *
compat_imapc_settings_with_search(const struct imapc_settings *set, pool_t pool)
{
	struct imapc_settings *copy;

	if (compat_imapc_has_feature(set, COMPAT_IMAPC_FEATURE_SEARCH))
		return set;
	copy = p_new(pool, struct imapc_settings, 1);
	*copy = *set;
	copy->parsed_features |= IMAPC_FEATURE_SEARCH;
	return copy;
}

static bool compat_imapc_wants_modseqs(const struct imapc_settings *set)
{
	return (set->parsed_features & IMAPC_FEATURE_MODSEQ) != 0;
}

char compat_imapc_list_get_escape_char(const struct mailbox_list *list)
{
	return list->set.vname_escape_char;
}

bool compat_imapc_percent_is_misread(void)
{
	return FALSE;
}

void compat_imapc_client_set_retry_count(struct imapc_client *client,
					 unsigned int count)
{
	client->set.connect_retry_count = count;
	if (client->set.connect_retry_interval_msecs == 0)
		client->set.connect_retry_interval_msecs = 1000;
}

void compat_imapc_client_set_timeouts(struct imapc_client *client,
				      unsigned int connect_msecs,
				      unsigned int command_msecs)
{
	client->set.connect_timeout_msecs = connect_msecs;
	client->set.cmd_timeout_msecs = command_msecs;
}

void compat_imapc_client_send_id(struct imapc_client *client,
				 const char *session_id_prefix)
{
	if (client->set.session_id_prefix == NULL)
		client->set.session_id_prefix = session_id_prefix;
}

struct imapc_client *
compat_imapc_client_clone(const struct imapc_client *client)
{
	return imapc_client_init(&client->set, event_get_parent(client->event));
}

#endif

const char *
compat_imapc_remote_to_storage_name(struct imapc_mailbox_list *list,
				    const char *remote_name)
{
	return mailbox_list_escape_name_params(remote_name, "", list->root_sep,
		mailbox_list_get_hierarchy_sep(&list->list),
		compat_list_get_storage_escape_char(&list->list), "");
}


bool compat_imapc_disable_gmail_migration(const struct imapc_settings *_set)
{
	/* 2.3 expanded them for this user, 2.4 for this client */
	struct imapc_settings *set = (struct imapc_settings *)_set;

	if (!compat_imapc_has_feature(set, COMPAT_IMAPC_FEATURE_GMAIL_MIGRATION))
		return FALSE;
	/* one of the few bits that mean the same in both */
	set->parsed_features &= ENUM_NEGATE(IMAPC_FEATURE_GMAIL_MIGRATION);
	return TRUE;
}

const char *
compat_imapc_disable_unsafe_features(const struct imapc_settings *_set)
{
	static const struct {
		enum imapc_features bit;
		const char *name;
	} unsafe[] = {
		/* they mean the same in both */
		{ IMAPC_FEATURE_GUID_FORCED, "guid-forced" },
		{ IMAPC_FEATURE_ZIMBRA_WORKAROUNDS, "zimbra-workarounds" },
	};
	struct imapc_settings *set = (struct imapc_settings *)_set;
	string_t *names = t_str_new(64);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(unsafe); i++) {
		if ((set->parsed_features & unsafe[i].bit) == 0)
			continue;
		set->parsed_features &= ENUM_NEGATE(unsafe[i].bit);
		if (str_len(names) > 0)
			str_append(names, ", ");
		str_append(names, unsafe[i].name);
	}
	return str_c(names);
}

bool compat_imapc_has_modseqs(const struct imapc_settings *set,
			      enum imapc_capability capabilities)
{
	return compat_imapc_wants_modseqs(set) &&
		(capabilities & (IMAPC_CAPABILITY_CONDSTORE |
				 IMAPC_CAPABILITY_QRESYNC)) != 0;
}

bool compat_imapc_can_read_ahead(const struct imapc_settings *set,
				 const char **reason_r)
{
	/* these bits mean the same in both */
	static const struct {
		enum imapc_features feature;
		const char *name;
	} workarounds[] = {
		{ IMAPC_FEATURE_GUID_FORCED, "guid-forced" },
		{ IMAPC_FEATURE_GMAIL_MIGRATION, "gmail-migration" },
		{ IMAPC_FEATURE_ZIMBRA_WORKAROUNDS, "zimbra-workarounds" },
		{ IMAPC_FEATURE_NO_EXAMINE, "no-examine" },
		{ IMAPC_FEATURE_FETCH_MSN_WORKAROUNDS, "fetch-msn-workarounds" },
		{ IMAPC_FEATURE_FETCH_EMPTY_IS_EXPUNGED,
		  "fetch-empty-is-expunged" },
		{ IMAPC_FEATURE_NO_MSN_UPDATES, "no-msn-updates" },
	};
	unsigned int i;

	if (!compat_imapc_has_feature(set, COMPAT_IMAPC_FEATURE_FETCH_SIZE) ||
	    !compat_imapc_has_feature(set, COMPAT_IMAPC_FEATURE_FETCH_HEADERS)) {
		*reason_r = "imapc_features has sizes or header fields off";
		return FALSE;
	}
	for (i = 0; i < N_ELEMENTS(workarounds); i++) {
		if ((set->parsed_features & workarounds[i].feature) != 0) {
			*reason_r = t_strdup_printf("imapc_features has %s",
						    workarounds[i].name);
			return FALSE;
		}
	}
	return TRUE;
}

void compat_imapc_enable_no_examine(const struct imapc_settings *_set)
{
	struct imapc_settings *set = (struct imapc_settings *)_set;

	/* means the same in both */
	set->parsed_features |= IMAPC_FEATURE_NO_EXAMINE;
}

const char *compat_imapc_list_unescape(const struct mailbox_list *list,
				       const char *vname)
{
	char escape = compat_imapc_list_get_escape_char(list);

	if (escape != '\0')
		mailbox_list_name_unescape(&vname, escape);
	return vname;
}

struct ioloop *compat_imapc_loop_begin(struct imapc_client *client)
{
	struct ioloop *prev_ioloop = current_ioloop;
	struct imapc_client_connection *conn;

	client->ioloop = io_loop_create();
	io_loop_set_running(client->ioloop);
	array_foreach_elem(&client->conns, conn)
		imapc_connection_ioloop_changed(conn->conn);
	return prev_ioloop;
}

void compat_imapc_loop_end(struct imapc_client *client,
			   struct ioloop *prev_ioloop)
{
	struct ioloop *ioloop = client->ioloop;
	struct imapc_client_connection *conn;

	io_loop_set_current(prev_ioloop);
	client->ioloop = NULL;
	array_foreach_elem(&client->conns, conn)
		imapc_connection_ioloop_changed(conn->conn);
	io_loop_set_current(ioloop);
	io_loop_destroy(&ioloop);
}
