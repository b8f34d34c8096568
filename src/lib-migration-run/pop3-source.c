/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str-sanitize.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "index-mail.h"
#include "mail-storage-private.h"
#include "pop3c-settings.h"
#include "pop3c-storage.h"
#include "secret-mask.h"
#include "pop3-source.h"

/* Attempts while another session has the maildrop: half a minute in all. */
#define BUSY_RETRIES 5

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
			       unsigned int timeout_secs, struct event *event,
			       struct pop3_client_settings *set_r)
{
	i_zero(set_r);
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
	set_r->timeout_secs = timeout_secs;
	set_r->busy_retries = BUSY_RETRIES;
	set_r->user = user;
	set_r->event = event;
}

int pop3_source_get_settings(struct mail_user *user, const char *mailbox,
			     unsigned int timeout_secs, struct event *event,
			     struct pop3_client_settings *set_r,
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
	pop3_source_fill_settings(pop3c_storage->set, user, timeout_secs, event,
				  set_r);
	return 0;
}
