/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "pop3-uidl-format.h"
#include "settings-loader.h"
#include "migration-pop3-settings.h"
#include "verify-pop3.h"

/* as the POP3 server sorts */
static const enum mail_sort_type pop3_sort_program[] = {
	MAIL_SORT_POP3_ORDER, MAIL_SORT_END
};

int verify_pop3_get_settings(struct mail_user *user, pool_t pool,
			     struct verify_pop3_settings *set_r,
			     struct verify_error *error_r)
{
	const struct migration_pop3_settings *set;
	const void *_set;

	if (migration_settings_get(user, &migration_pop3_setting_parser_info,
				   &_set, &error_r->text) < 0) {
		error_r->error = MAIL_ERROR_PARAMS;
		return -1;
	}
	set = _set;
	set_r->mailbox = p_strdup(pool, set->mailbox);
	set_r->ignore_extra_uidls = set->ignore_extra_uidls;
	migration_settings_free(set);
	return 0;
}

static int
list_error(struct mailbox *box, const char *doing, struct verify_error *error_r)
{
	const char *text;

	text = mailbox_get_last_internal_error(box, &error_r->error);
	/* pop3c calls a refused login wrong parameters, which would look like
	   a wrong command line */
	if (error_r->error == MAIL_ERROR_PARAMS)
		error_r->error = MAIL_ERROR_PERM;
	error_r->text = t_strdup_printf("POP3 list of mailbox %s: %s failed: %s",
					mailbox_get_vname(box), doing, text);
	return -1;
}

static int
list_open(struct mailbox *box, struct verify_error *error_r)
{
	if (mailbox_open(box) < 0)
		return list_error(box, "Opening it", error_r);
	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return list_error(box, "Syncing it", error_r);
	return 0;
}

/* Returns 1, 0 if the mail is gone meanwhile, -1 if the UIDL can't be read. */
static int
uidl_read(struct mail *mail, pool_t pool, struct parity_pop3_mail *mail_r,
	  const char **error_r)
{
	enum mail_error error;
	const char *uidl;

	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0) {
		*error_r = mailbox_get_last_internal_error(mail->box, &error);
		return error == MAIL_ERROR_EXPUNGED ? 0 : -1;
	}
	mail_r->made_up = uidl[0] == '\0';
	if (mail_r->made_up) {
		string_t *str = t_str_new(64);

		if (pop3_uidl_format_expand(mail, str, error_r) < 0)
			return -1;
		uidl = str_c(str);
	}
	mail_r->uidl = p_strdup(pool, uidl);
	return 1;
}

static int
list_read(struct mailbox *box, const enum mail_sort_type *sort_program,
	  bool with_uids, pool_t pool, ARRAY_TYPE(parity_pop3_mail) *list,
	  struct verify_error *error_r)
{
	struct mailbox_transaction_context *trans;
	struct mail_search_args *args;
	struct mail_search_context *search;
	struct parity_pop3_mail pop3_mail;
	struct mail *mail;
	const char *error;
	int ret = 1;

	args = mail_search_build_init();
	mail_search_build_add_all(args);
	trans = mailbox_transaction_begin(box, 0, "migration verify");
	search = mailbox_search_init(trans, args, sort_program, 0, NULL);
	mail_search_args_unref(&args);
	while (ret >= 0 && mailbox_search_next(search, &mail)) T_BEGIN {
		i_zero(&pop3_mail);
		pop3_mail.uid = with_uids ? mail->uid : 0;
		ret = uidl_read(mail, pool, &pop3_mail, &error);
		if (ret > 0)
			array_push_back(list, &pop3_mail);
		else if (ret < 0) {
			error_r->text = p_strdup_printf(pool, "POP3 list of "
				"mailbox %s: UIDL of UID %u: %s",
				mailbox_get_vname(box), mail->uid, error);
			error_r->error = MAIL_ERROR_TEMP;
		}
	} T_END;
	if (mailbox_search_deinit(&search) < 0 && ret >= 0)
		ret = list_error(box, "Searching it", error_r);
	mailbox_transaction_rollback(&trans);
	return ret < 0 ? -1 : 0;
}

static bool
mailbox_is_pop3c(struct mailbox *box, struct verify_error *error_r)
{
	if (strcmp(box->storage->name, "pop3c") == 0)
		return TRUE;
	error_r->text = t_strdup_printf("migration_pop3_mailbox=%s is in "
		"namespace \"%s\", whose storage is %s: it must be the INBOX "
		"of a namespace with the pop3c storage",
		mailbox_get_vname(box), mailbox_get_namespace(box)->prefix,
		box->storage->name);
	error_r->error = MAIL_ERROR_PARAMS;
	return FALSE;
}

int verify_pop3_read_source(struct mail_user *user, const char *mailbox,
			    pool_t pool, ARRAY_TYPE(parity_pop3_mail) *list,
			    struct verify_error *error_r)
{
	struct mail_namespace *ns;
	struct mailbox *box;
	int ret = -1;

	ns = mail_namespace_find(user->namespaces, mailbox);
	/* pop3c can't be opened read-only: reading UIDLs changes nothing */
	box = mailbox_alloc(ns->list, mailbox, MAILBOX_FLAG_IGNORE_ACLS);
	if (mailbox_is_pop3c(box, error_r) && list_open(box, error_r) == 0)
		ret = list_read(box, NULL, FALSE, pool, list, error_r);
	mailbox_free(&box);
	return ret;
}

int verify_pop3_read_dest(struct mail_user *user, pool_t pool,
			  ARRAY_TYPE(parity_pop3_mail) *list,
			  struct verify_error *error_r)
{
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);
	struct mailbox *box;
	int ret = -1;

	box = mailbox_alloc(ns->list, "INBOX", MAILBOX_FLAG_READONLY |
			    MAILBOX_FLAG_IGNORE_ACLS);
	if (list_open(box, error_r) == 0) {
		ret = list_read(box, pop3_sort_program, TRUE, pool, list,
				error_r);
	}
	mailbox_free(&box);
	return ret;
}
