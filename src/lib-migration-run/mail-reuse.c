/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hex-binary.h"
#include "sha1.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mailbox-list-private.h"
#include "mailbox-list-iter.h"
#include "mailbox-error.h"
#include "mailbox-marked.h"
#include "migration-run.h"
#include "mail-reuse.h"

/* followed by the digest of the mailbox's name, "-" and a number */
#define KEPT_PREFIX "dovecot-migration-kept-"
#define KEPT_NAME_DIGEST_SIZE 10
/* ... or this while it is being filled. Killed then, a Maildir has mails that get
   UIDs when somebody looks: any UIDs. */
#define KEPT_UNFINISHED "new"
/* one for each time that a run was killed */
#define KEPT_MAX_COUNT 100

/* One mailbox with kept mails. */
struct kept_mailbox {
	struct mailbox *box;
	struct mailbox_transaction_context *trans;
	struct mail *mail;
	ARRAY_TYPE(seq_range) uids;
	uint32_t uid_validity;
};

/* What is kept of one of the source's mailboxes. */
struct mail_reuse_mailbox {
	const char *digest;
	uint32_t uid_validity;
	ARRAY(struct kept_mailbox *) kept;
};

struct mail_reuse {
	pool_t pool;
	ARRAY(struct mail_reuse_mailbox *) mailboxes;
};

static bool reuse_served;
/* somebody here looks for them */
static bool reuse_shown;

void mail_reuse_set_served(bool served)
{
	reuse_served = served;
}

bool mail_reuse_is_served(void)
{
	return reuse_served;
}

/* ---- names ---- */

static const char *
kept_name(struct mail_namespace *ns, const char *digest, unsigned int number)
{
	return t_strdup_printf("%s"KEPT_PREFIX"%s-%u", ns->prefix, digest,
			       number);
}

static const char *name_digest(const char *name)
{
	unsigned char digest[SHA1_RESULTLEN];

	if (strcasecmp(name, "INBOX") == 0)
		name = "INBOX";
	sha1_get_digest(name, strlen(name), digest);
	return binary_to_hex(digest, KEPT_NAME_DIGEST_SIZE);
}

/* Returns what follows the prefix, or NULL. */
static const char *kept_digest(struct mail_namespace *ns, const char *vname)
{
	if (strncmp(vname, ns->prefix, ns->prefix_len) != 0 ||
	    strncmp(vname + ns->prefix_len, KEPT_PREFIX,
		    strlen(KEPT_PREFIX)) != 0)
		return NULL;
	return vname + ns->prefix_len + strlen(KEPT_PREFIX);
}

bool mail_reuse_hides(struct mailbox_list *list, const char *vname)
{
	return !reuse_shown && kept_digest(list->ns, vname) != NULL &&
		migration_run_find(list->ns->user)->begun;
}

bool mail_reuse_is_kept(struct mailbox *box)
{
	return kept_digest(mailbox_get_namespace(box), box->vname) != NULL;
}

/* ---- reading ---- */

static void kept_close(struct kept_mailbox *kept)
{
	if (kept->mail != NULL)
		mail_free(&kept->mail);
	if (kept->trans != NULL)
		mailbox_transaction_rollback(&kept->trans);
	mailbox_free(&kept->box);
}

/* Returns NULL if there is no such mailbox, or none that can be used. */
static struct kept_mailbox *
kept_open(pool_t pool, struct mail_namespace *ns, const char *vname)
{
	struct kept_mailbox *kept;
	struct mailbox_status status;
	uint32_t seq, uid;

	kept = p_new(pool, struct kept_mailbox, 1);
	kept->box = mailbox_alloc(ns->list, vname, MAILBOX_FLAG_READONLY |
				  MAILBOX_FLAG_IGNORE_ACLS);
	if (mailbox_sync(kept->box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		kept_close(kept);
		return NULL;
	}
	mailbox_get_open_status(kept->box, STATUS_UIDVALIDITY, &status);
	kept->uid_validity = status.uidvalidity;
	p_array_init(&kept->uids, pool, 8);
	for (seq = 1; seq <= mail_index_view_get_messages_count(
			kept->box->view); seq++) {
		mail_index_lookup_uid(kept->box->view, seq, &uid);
		seq_range_array_add(&kept->uids, uid);
	}
	return kept;
}

static struct mail_reuse_mailbox *
reuse_find(struct mail_reuse *reuse, const char *digest, uint32_t uid_validity)
{
	struct mail_reuse_mailbox *mailbox;

	array_foreach_elem(&reuse->mailboxes, mailbox) {
		if (mailbox->uid_validity == uid_validity &&
		    strcmp(mailbox->digest, digest) == 0)
			return mailbox;
	}
	return NULL;
}

static struct mail_reuse_mailbox *
reuse_get(struct mail_reuse *reuse, const char *digest, uint32_t uid_validity)
{
	struct mail_reuse_mailbox *mailbox =
		reuse_find(reuse, digest, uid_validity);

	if (mailbox == NULL) {
		mailbox = p_new(reuse->pool, struct mail_reuse_mailbox, 1);
		mailbox->digest = p_strdup(reuse->pool, digest);
		mailbox->uid_validity = uid_validity;
		p_array_init(&mailbox->kept, reuse->pool, 1);
		array_push_back(&reuse->mailboxes, &mailbox);
	}
	return mailbox;
}

/* The visible names of all mailboxes of the namespace with kept mails. */
static void
find_kept_names(struct mail_namespace *ns, ARRAY_TYPE(const_string) *names)
{
	const char *pattern = t_strdup_printf("%s"KEPT_PREFIX"*", ns->prefix);
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	const char *name;

	reuse_shown = TRUE;
	iter = mailbox_list_iter_init(ns->list, pattern,
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES |
				      MAILBOX_LIST_ITER_RETURN_NO_FLAGS);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		name = t_strdup(info->vname);
		array_push_back(names, &name);
	}
	/* what is not found is fetched again, and deleted by another run */
	(void)mailbox_list_iter_deinit(&iter);
	reuse_shown = FALSE;
}

static bool may_have_kept(struct mail_namespace *ns)
{
	struct mail_storage *storage = mail_namespace_get_default_storage(ns);

	return ns->type == MAIL_NAMESPACE_TYPE_PRIVATE && ns->alias_for == NULL &&
		(ns->flags & NAMESPACE_FLAG_UNUSABLE) == 0 &&
		(storage->class_flags & MAIL_STORAGE_CLASS_FLAG_NO_ROOT) == 0;
}

static void reuse_add_namespace(struct mail_reuse *reuse,
				struct mail_namespace *ns)
{
	struct mail_reuse_mailbox *mailbox;
	struct kept_mailbox *kept;
	ARRAY_TYPE(const_string) names;
	const char *name, *digest;

	t_array_init(&names, 4);
	find_kept_names(ns, &names);
	array_foreach_elem(&names, name) {
		digest = t_strcut(kept_digest(ns, name), '-');
		if (strcmp(digest, KEPT_UNFINISHED) == 0 ||
		    (kept = kept_open(reuse->pool, ns, name)) == NULL)
			continue;
		mailbox = reuse_get(reuse, digest, kept->uid_validity);
		array_push_back(&mailbox->kept, &kept);
	}
}

struct mail_reuse *mail_reuse_init(struct mail_user *user)
{
	struct mail_reuse *reuse;
	struct mail_namespace *ns;
	pool_t pool = pool_alloconly_create("mail reuse", 1024);

	reuse = p_new(pool, struct mail_reuse, 1);
	reuse->pool = pool;
	p_array_init(&reuse->mailboxes, pool, 2);
	for (ns = user->namespaces; ns != NULL; ns = ns->next) T_BEGIN {
		if (may_have_kept(ns))
			reuse_add_namespace(reuse, ns);
	} T_END;
	if (array_is_empty(&reuse->mailboxes))
		mail_reuse_deinit(&reuse);
	return reuse;
}

void mail_reuse_deinit(struct mail_reuse **_reuse)
{
	struct mail_reuse *reuse = *_reuse;
	struct mail_reuse_mailbox *mailbox;
	struct kept_mailbox *kept;

	*_reuse = NULL;
	array_foreach_elem(&reuse->mailboxes, mailbox) {
		array_foreach_elem(&mailbox->kept, kept)
			kept_close(kept);
	}
	pool_unref(&reuse->pool);
}

const struct mail_reuse_mailbox *
mail_reuse_find(struct mail_reuse *reuse, const char *name,
		uint32_t uid_validity)
{
	return reuse_find(reuse, name_digest(name), uid_validity);
}

static struct kept_mailbox *
kept_with(const struct mail_reuse_mailbox *mailbox, uint32_t uid)
{
	struct kept_mailbox *kept;

	array_foreach_elem(&mailbox->kept, kept) {
		if (seq_range_exists(&kept->uids, uid))
			return kept;
	}
	return NULL;
}

bool mail_reuse_has(const struct mail_reuse_mailbox *mailbox, uint32_t uid)
{
	return kept_with(mailbox, uid) != NULL;
}

struct mail *
mail_reuse_get(const struct mail_reuse_mailbox *mailbox, uint32_t uid)
{
	struct kept_mailbox *kept = kept_with(mailbox, uid);

	if (kept == NULL)
		return NULL;
	if (kept->mail == NULL) {
		kept->trans = mailbox_transaction_begin(kept->box, 0, __func__);
		kept->mail = mail_alloc(kept->trans, 0, NULL);
	}
	return mail_set_uid(kept->mail, uid) ? kept->mail : NULL;
}

/* ---- keeping ---- */

static void kept_delete(struct mail_namespace *ns, const char *vname)
{
	struct mailbox *box = mailbox_alloc(ns->list, vname,
					    MAILBOX_FLAG_IGNORE_ACLS);

	/* there may be none */
	(void)mailbox_delete_marked(box);
	mailbox_free(&box);
}

/* The UIDs that are kept already, and the number of the first mailbox that is
   free. What is kept under another UIDVALIDITY is of no use any more. */
static unsigned int
find_free_number(struct mail_namespace *ns, const char *digest,
		 uint32_t uid_validity, pool_t pool, ARRAY_TYPE(seq_range) *uids)
{
	struct kept_mailbox *kept;
	unsigned int number;
	bool same;

	for (number = 1; number < KEPT_MAX_COUNT; number++) {
		kept = kept_open(pool, ns, kept_name(ns, digest, number));
		if (kept == NULL)
			break;
		same = kept->uid_validity == uid_validity;
		if (same)
			seq_range_array_merge(uids, &kept->uids);
		kept_close(kept);
		if (!same)
			break;
	}
	/* also what cannot be opened */
	kept_delete(ns, kept_name(ns, digest, number));
	return number;
}

static int
keep_mail(struct mailbox_transaction_context *t, struct mail *mail,
	  const struct reuse_pair *pair)
{
	struct mail_save_context *save_ctx;

	/* one that is gone meanwhile need not be kept */
	if (!mail_set_uid(mail, pair->here_uid))
		return 0;
	save_ctx = mailbox_save_alloc(t);
	mailbox_save_set_uid(save_ctx, pair->there_uid);
	return mailbox_copy(&save_ctx, mail);
}

static int
keep_mails(struct mailbox *box, struct mailbox *from,
	   const ARRAY_TYPE(reuse_pair) *pairs,
	   const ARRAY_TYPE(seq_range) *kept_uids, const char **error_r)
{
	struct mailbox_transaction_context *t, *from_t;
	const struct reuse_pair *pair;
	struct mail *mail;
	int ret = 0;

	/* as dsync's: no quota is asked */
	t = mailbox_transaction_begin(box, MAILBOX_TRANSACTION_FLAG_EXTERNAL |
				      MAILBOX_TRANSACTION_FLAG_SYNC |
				      MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS,
				      __func__);
	from_t = mailbox_transaction_begin(from, 0, __func__);
	mail = mail_alloc(from_t, 0, NULL);
	array_foreach(pairs, pair) T_BEGIN {
		if (ret == 0 && !seq_range_exists(kept_uids, pair->there_uid))
			ret = keep_mail(t, mail, pair);
	} T_END;
	mail_free(&mail);
	mailbox_transaction_rollback(&from_t);
	if (ret < 0) {
		(void)mailbox_error(box, "A mail can't be copied", error_r);
		mailbox_transaction_rollback(&t);
		return -1;
	}
	if (mailbox_transaction_commit(&t) < 0)
		return mailbox_error(box, "Mails can't be copied", error_r);
	return 0;
}

static bool
all_are_kept(const ARRAY_TYPE(reuse_pair) *pairs,
	     const ARRAY_TYPE(seq_range) *kept_uids)
{
	const struct reuse_pair *pair;

	array_foreach(pairs, pair) {
		if (!seq_range_exists(kept_uids, pair->there_uid))
			return FALSE;
	}
	return TRUE;
}

static int
keep_in(struct mailbox *box, struct mailbox *from, uint32_t uid_validity,
	const ARRAY_TYPE(reuse_pair) *pairs,
	const ARRAY_TYPE(seq_range) *kept_uids, const char **error_r)
{
	struct mailbox_update update;

	i_zero(&update);
	update.uid_validity = uid_validity;
	if (mailbox_create(box, &update, FALSE) < 0 || mailbox_open(box) < 0)
		return mailbox_error(box, "Mailbox for it can't be made", error_r);
	if (mailbox_sync(from, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return mailbox_error(from, "Mailbox can't be read", error_r);
	return keep_mails(box, from, pairs, kept_uids, error_r);
}

/* From now on it is what it is called. */
static int
kept_finish(struct mailbox *box, const char *vname, const char **error_r)
{
	struct mailbox *dest = mailbox_alloc(box->list, vname,
					     MAILBOX_FLAG_IGNORE_ACLS);
	int ret;

	mailbox_close(box);
	ret = mailbox_rename(box, dest);
	if (ret < 0)
		(void)mailbox_error(box, "Mailbox for it can't be renamed", error_r);
	mailbox_free(&dest);
	return ret;
}

int mail_reuse_keep(struct mail_user *user, const char *name,
		    uint32_t uid_validity, const ARRAY_TYPE(reuse_pair) *pairs,
		    const char **error_r)
{
	struct mail_namespace *ns = mail_namespace_find(user->namespaces, name);
	const char *digest = name_digest(name), *vname, *unfinished;
	pool_t pool = pool_alloconly_create("mail reuse keep", 1024);
	ARRAY_TYPE(seq_range) kept_uids;
	struct mailbox *box, *from;
	int ret = 0;

	p_array_init(&kept_uids, pool, 8);
	vname = kept_name(ns, digest, find_free_number(ns, digest, uid_validity,
						       pool, &kept_uids));
	if (!all_are_kept(pairs, &kept_uids)) {
		unfinished = t_strconcat(ns->prefix,
					 KEPT_PREFIX KEPT_UNFINISHED, NULL);
		kept_delete(ns, unfinished);
		box = mailbox_alloc(ns->list, unfinished,
				    MAILBOX_FLAG_IGNORE_ACLS);
		from = mailbox_alloc(ns->list, name, MAILBOX_FLAG_READONLY |
				     MAILBOX_FLAG_IGNORE_ACLS);
		ret = keep_in(box, from, uid_validity, pairs, &kept_uids,
			      error_r);
		mailbox_free(&from);
		if (ret == 0)
			ret = kept_finish(box, vname, error_r);
		mailbox_free(&box);
		if (ret < 0)
			kept_delete(ns, unfinished);
	}
	pool_unref(&pool);
	return ret;
}

void mail_reuse_clean_up(struct mail_user *user)
{
	struct mail_namespace *ns;
	ARRAY_TYPE(const_string) names;
	const char *name;

	for (ns = user->namespaces; ns != NULL; ns = ns->next) T_BEGIN {
		t_array_init(&names, 4);
		if (may_have_kept(ns))
			find_kept_names(ns, &names);
		array_foreach_elem(&names, name)
			kept_delete(ns, name);
	} T_END;
}
