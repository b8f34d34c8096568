/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"
#include "mail-cache.h"
#include "uidl-store-private.h"

static const struct uidl_store_vfuncs *const formats[] = {
	&uidl_store_maildir,
	&uidl_store_sdbox,
	&uidl_store_mdbox,
};

static const struct uidl_store_vfuncs *
uidl_store_find(const struct mail_storage *storage)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(formats); i++) {
		if (strcmp(storage->name, formats[i]->name) == 0)
			return formats[i];
	}
	return NULL;
}

const char *uidl_store_why_not(const struct mail_storage *storage)
{
	if (uidl_store_find(storage) != NULL)
		return NULL;
	return t_strdup_printf("%s has no place for POP3 UIDLs and order: "
		"migrate to maildir, sdbox or mdbox, or set pop3_uidl_format "
		"to what the old server used", storage->name);
}

uint32_t uidl_store_parse_order(const char *value)
{
	uint32_t order;

	if (value == NULL || str_to_uint32(value, &order) < 0)
		return 0;
	return order;
}

/* -- reading */

static int
read_served(struct mail *mail, const char **uidl_r, uint32_t *order_r)
{
	const char *uidl, *order;

	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0 ||
	    mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &order) < 0)
		return -1;
	*uidl_r = *uidl == '\0' ? NULL : uidl;
	*order_r = uidl_store_parse_order(order);
	return 0;
}

/* Returns 1, 0 if the mail is gone, -1 and *error_r. */
static int
read_mail(const struct uidl_store_vfuncs *format, struct mail *mail,
	  pool_t pool, struct uidl_store_mail *mail_r, const char **error_r)
{
	const char *served;
	int ret;

	mail_r->uid = mail->uid;
	ret = format->read(mail, pool, mail_r, error_r);
	if (ret <= 0)
		return ret;
	if (read_served(mail, &served, &mail_r->served_order) < 0) {
		if (mail->expunged)
			return 0;
		*error_r = t_strdup_printf("UIDL of UID %u can't be read: %s",
			mail->uid,
			mailbox_get_last_internal_error(mail->box, NULL));
		return -1;
	}
	mail_r->served_uidl = p_strdup(pool, served);
	return 1;
}

int uidl_store_read(struct mailbox *box, pool_t pool,
		    ARRAY_TYPE(uidl_store_mail) *mails, const char **error_r)
{
	const struct uidl_store_vfuncs *format =
		uidl_store_find(box->storage);
	struct mailbox_transaction_context *t;
	struct uidl_store_mail stored;
	const char *error = NULL;
	struct mail *mail;
	uint32_t seq, count;
	int ret = 1;

	i_assert(format != NULL);
	count = mail_index_view_get_messages_count(box->view);
	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	for (seq = 1; seq <= count && ret >= 0; seq++) T_BEGIN {
		i_zero(&stored);
		mail_set_seq(mail, seq);
		ret = read_mail(format, mail, pool, &stored, &error);
		if (ret > 0)
			array_push_back(mails, &stored);
		else if (ret < 0)
			error = p_strdup(pool, error);
	} T_END;
	mail_free(&mail);
	/* reading adds to the cache, and a commit would tell the index how far
	   there are UIDLs */
	mailbox_transaction_rollback(&t);
	if (ret < 0)
		*error_r = t_strdup(error);
	return ret < 0 ? -1 : 0;
}

/* -- writing */

/* Returns the number of mails of which POP3 is told something else. */
static unsigned int
count_not_shown(struct mailbox *box, const struct uidl_store_change *changes,
		unsigned int count, uint32_t *first_uid_r)
{
	struct mailbox_transaction_context *t;
	struct mail *mail;
	const char *uidl;
	uint32_t order;
	unsigned int i, wrong = 0;

	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	for (i = 0; i < count; i++) T_BEGIN {
		if (mail_set_uid(mail, changes[i].uid) &&
		    (read_served(mail, &uidl, &order) < 0 ||
		     null_strcmp(uidl, changes[i].uidl) != 0 ||
		     order != changes[i].order) && !mail->expunged) {
			if (wrong++ == 0)
				*first_uid_r = changes[i].uid;
		}
	} T_END;
	mail_free(&mail);
	mailbox_transaction_rollback(&t);
	return wrong;
}

static int resync(struct mailbox *box, const char **error_r)
{
	if (mailbox_sync(box, 0) < 0) {
		*error_r = t_strdup_printf("Mailbox can't be synchronised: %s",
			mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	return 0;
}

static int
show(const struct uidl_store_vfuncs *format, struct mailbox *box,
     const struct uidl_store_change *changes, unsigned int count,
     const char **error_r)
{
	if (format->show != NULL &&
	    format->show(box, changes, count, error_r) < 0)
		return -1;
	return resync(box, error_r);
}

static int
show_and_prove(const struct uidl_store_vfuncs *format, struct mailbox *box,
	       const struct uidl_store_change *changes, unsigned int count,
	       const char **error_r)
{
	uint32_t uid = 0;
	unsigned int wrong;

	if (show(format, box, changes, count, error_r) < 0)
		return -1;
	wrong = count_not_shown(box, changes, count, &uid);
	if (wrong > 0) {
		/* A field that may not be cached (mail_never_cache_fields)
		   still has its old value in the cache file, which a new file
		   does not take over. */
		e_debug(box->event, "UIDLs of %u mails come from an old cache, "
			"which is purged now", wrong);
		(void)mail_cache_purge(box->cache, (uint32_t)-1,
				       "POP3 UIDLs changed");
		if (resync(box, error_r) < 0)
			return -1;
		wrong = count_not_shown(box, changes, count, &uid);
	}
	if (wrong > 0) {
		*error_r = t_strdup_printf("%u mails (first UID %u) have their "
			"UIDL, but POP3 does not see it: delete the mailbox's "
			"dovecot.index.cache and run again", wrong, uid);
		return -1;
	}
	return 0;
}

int uidl_store_write(struct mailbox *box,
		     const struct uidl_store_change *changes,
		     unsigned int count, struct uidl_store_result *result_r,
		     const char **error_r)
{
	const struct uidl_store_vfuncs *format =
		uidl_store_find(box->storage);
	unsigned int i;

	i_assert(format != NULL);
	i_zero(result_r);
	if (format->write(box, changes, count, result_r, error_r) < 0)
		return -1;
	/* what was written is synchronised before it is shown: an index that
	   was rebuilt meanwhile has other sequence numbers */
	if (resync(box, error_r) < 0 ||
	    show_and_prove(format, box, changes, count, error_r) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (!changes[i].write)
			result_r->shown++;
	}
	return 0;
}
