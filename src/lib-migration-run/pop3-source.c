/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str-sanitize.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "index-mail.h"
#include "mail-storage-private.h"
#include "pop3c-settings.h"
#include "pop3c-storage.h"
#include "connection-slot.h"
#include "migration-run.h"
#include "secret-mask.h"
#include "source-pause.h"
#include "pop3-source.h"

struct pop3_source {
	struct pop3_source_settings set;
	/* host:port */
	char *server;
	struct pop3_client *client;
	/* from the first login until the end, whether connected or not */
	struct connection_slot *slot;
	struct retry_state failures;
};

static enum pop3_client_ssl_mode ssl_mode(const char *word)
{
	if (strcmp(word, "pop3s") == 0)
		return POP3_CLIENT_SSL_POP3S;
	if (strcmp(word, "starttls") == 0)
		return POP3_CLIENT_SSL_STARTTLS;
	return POP3_CLIENT_SSL_NONE;
}

void pop3_source_fill_settings(const struct pop3c_settings *set,
			       struct mail_user *user,
			       const struct pop3_source_limits *limits,
			       struct event *event,
			       struct pop3_source_settings *source_set_r)
{
	struct pop3_client_settings *set_r = &source_set_r->client;

	i_zero(source_set_r);
	source_set_r->limits = *limits;
	set_r->host = set->pop3c_host;
	set_r->port = set->pop3c_port;
	set_r->ssl_mode = ssl_mode(set->pop3c_ssl);
	set_r->allow_invalid_cert = !set->pop3c_ssl_verify;
	set_r->username = set->pop3c_user;
	set_r->master_user = set->pop3c_master_user;
	set_r->password = set->pop3c_password;
	if (set->pop3c_master_user[0] == '\0') {
		migration_secrets_add_password("", set->pop3c_user,
					       set->pop3c_password);
	} else {
		migration_secrets_add_password(set->pop3c_user,
					       set->pop3c_master_user,
					       set->pop3c_password);
	}
	set_r->no_pipelining =
		(set->parsed_features & POP3C_FEATURE_NO_PIPELINING) != 0;
	set_r->timeout_secs = limits->timeout_secs;
	set_r->user = user;
	set_r->event = event;
}

int pop3_source_get_settings(struct mail_user *user, const char *mailbox,
			     const struct pop3_source_limits *limits,
			     struct event *event,
			     struct pop3_source_settings *set_r,
			     const char **error_r)
{
	struct mail_namespace *ns =
		mail_namespace_find(user->namespaces, mailbox);
	struct mail_storage *storage = mail_namespace_get_default_storage(ns);
	const struct pop3c_storage *pop3c_storage;

	if (storage == NULL || strcmp(storage->name, POP3C_STORAGE_NAME) != 0) {
		*error_r = t_strdup_printf("migration_pop3_mailbox = %s: there "
			"is no namespace with a pop3c location at this name "
			"(it lies in the namespace with prefix \"%s\", which "
			"is %s): add the namespace for the POP3 server, or "
			"name its mailbox", str_sanitize(mailbox, 80),
			ns->prefix, storage == NULL ? "empty" : storage->name);
		return -1;
	}
	pop3c_storage = POP3C_STORAGE(storage);
	pop3_source_fill_settings(pop3c_storage->set, user, limits, event,
				  set_r);
	return 0;
}

/* --- sessions --- */

struct pop3_source *pop3_source_init(const struct pop3_source_settings *set)
{
	struct pop3_source *source = i_new(struct pop3_source, 1);

	source->set = *set;
	source->server = i_strdup_printf("%s:%u", set->client.host,
					 set->client.port);
	source->client = pop3_client_init(&set->client);
	return source;
}

void pop3_source_deinit(struct pop3_source **_source)
{
	struct pop3_source *source = *_source;

	*_source = NULL;
	pop3_client_deinit(&source->client);
	/* the connection is closed now */
	connection_slot_release(&source->slot);
	i_free(source->server);
	i_free(source);
}

struct pop3_client *pop3_source_get_client(struct pop3_source *source)
{
	return source->client;
}

/* The login failed with these words. Returns TRUE after a wait, if it is worth
   another try. */
static bool
source_wait(struct pop3_source *source, struct migration_run *run,
	    const char **error, enum pop3_client_error *type)
{
	struct server_reply reply;

	server_reply_understand(*error, &reply);
	/* courier-maxperip: a connection that is one too many is closed without
	   a word. Somebody else has one: the server is there. */
	if (*type == POP3_CLIENT_ERROR_TEMP &&
	    connection_slot_has_neighbour(source->slot, source->server))
		source->failures.reached = TRUE;
	else if (*type != POP3_CLIENT_ERROR_BUSY)
		return FALSE;
	else if (reply.meaning != SERVER_REPLY_UNKNOWN)
		source->failures.reached = TRUE;
	*type = POP3_CLIENT_ERROR_BUSY;
	if (source_pause_other(run, &source->failures,
			       source->set.limits.patience_msecs,
			       RETRY_FAILURE_CONNECTION, *error))
		return TRUE;
	if (!migration_run_is_stopping())
		*error = source_stop_other(run, *error);
	return FALSE;
}

int pop3_source_login(struct pop3_source *source, const char **error_r,
		      enum pop3_client_error *type_r)
{
	struct migration_run *run = migration_run_find(source->set.client.user);

	if (source->slot == NULL &&
	    !connection_slot_wait(run, source->server,
				  &source->set.limits.cap,
				  source->set.limits.patience_msecs,
				  "migration_pop3_max_connections",
				  &source->slot, error_r)) {
		*type_r = POP3_CLIENT_ERROR_BUSY;
		return -1;
	}
	while (pop3_client_login(source->client) < 0) {
		*error_r = t_strdup(pop3_client_get_error(source->client,
							  type_r));
		if (!source_wait(source, run, error_r, type_r))
			return -1;
	}
	retry_progress(&source->failures);
	return 0;
}
