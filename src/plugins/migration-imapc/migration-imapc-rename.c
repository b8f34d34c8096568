/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mailboxes that were renamed at the source: mailbox-rename.h decides which
   mailbox is which, before dsync asks the first one for its GUID. What the
   server's ids are is remembered in a file beside the record of what did not
   change. It is written before dsync does anything: what it says of mailboxes
   that a killed run did not get to is not believed by the next one, because the
   destination has no such GUID. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "istream.h"
#include "str.h"
#include "mail-namespace.h"
#include "compat-imapc.h"
#include "header-digest.h"
#include "mailbox-evidence.h"
#include "mailbox-rename.h"
#include "migration-file.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead.h"
#include "migration-imapc-spare.h"

/* beside migration_imapc_record */
#define RENAMES_SUFFIX ".mailboxes"
/* mails of a mailbox that are compared to tell mailboxes apart that have the
   same UIDVALIDITY: the first, the last, one between */
#define SAME_MAILS_COUNT 3

struct migration_imapc_renames {
	struct migration_imapc_list *mlist;
	pool_t pool;
	ARRAY_TYPE(rename_source) sources;
	ARRAY_TYPE(rename_dest) dests;
	ARRAY_TYPE(rename_known) known;
	/* Names are those of both sides, comparable. What each side's list calls
	   its mailboxes: */
	ARRAY_TYPE(const_string) source_vnames, dest_vnames;
	HASH_TABLE(const char *, const struct rename_source *) by_vname;
	const char *path, *key;
};

/* Lists have separators and escapes of their own. */
static const char *comparable_name(struct mailbox_list *list, const char *vname)
{
	char sep = mail_namespace_get_sep(list->ns);
	char *copy = t_strdup_noconst(vname), *p;

	for (p = copy; *p != '\0'; p++) {
		if (*p == sep)
			*p = '\001';
	}
	return compat_imapc_list_unescape(list, copy);
}

static const char *
source_vname(const struct migration_imapc_renames *renames,
	     const struct rename_source *source)
{
	return array_idx_elem(&renames->source_vnames,
			      array_ptr_to_idx(&renames->sources, source));
}

static const char *
dest_vname(const struct migration_imapc_renames *renames,
	   const struct rename_dest *dest)
{
	return array_idx_elem(&renames->dest_vnames,
			      array_ptr_to_idx(&renames->dests, dest));
}

/* What the mailbox is at the destination, or NULL. */
static const struct rename_dest *
source_dest(const struct migration_imapc_renames *renames,
	    const struct rename_source *source)
{
	return source->dest_idx == UINT_MAX ? NULL :
		array_idx(&renames->dests, source->dest_idx);
}

/* ---- the file ---- */

static const char *renames_path(struct migration_imapc_list *mlist)
{
	const char *path = migration_imapc_record_path(mlist);

	return path == NULL ? NULL : t_strconcat(path, RENAMES_SUFFIX, NULL);
}

static const char *renames_key(struct migration_imapc_list *mlist)
{
	const struct imapc_settings *set = mlist->list->set;

	return t_strdup_printf("%s:%u %s %s", set->imapc_host, set->imapc_port,
			       set->imapc_user, set->imapc_list_prefix);
}

static void renames_load(struct migration_imapc_renames *renames)
{
	string_t *text = str_new(default_pool, 4096);
	const char *reason;

	if (migration_imapc_record_read_file(renames->path, text,
					     &reason) < 0 ||
	    !mailbox_renames_read(str_c(text), renames->key, renames->pool,
				  &renames->known, &reason)) {
		e_debug(renames->mlist->muser->event, "%s is not used: %s",
			renames->path, reason);
	}
	str_free(&text);
}

static void renames_save(struct migration_imapc_renames *renames)
{
	string_t *text = str_new(default_pool, 4096);
	const char *error;

	mailbox_renames_write(&renames->sources, &renames->known, renames->key,
			      text);
	if (migration_file_replace(renames->path, text, &error) < 0) {
		e_warning(renames->mlist->muser->event, "Can't write the ids "
			  "of the source's mailboxes, so the next run does not "
			  "know by them what was renamed: %s", error);
	}
	str_free(&text);
}

/* ---- the same mails? ---- */

static void digest_header(struct istream *input, struct header_digest *digest_r)
{
	struct mail_digest *digest = mail_digest_init();

	/* what cannot be read makes it another header */
	(void)mail_digest_stream(digest, input);
	mail_digest_deinit(&digest, digest_r, NULL);
}

/* header-apart: some servers make a header that is asked for alone anew, and
   only the whole mail has the one that was stored. */
static enum spare_result
source_header(struct migration_imapc_list *mlist, uint32_t uid,
	      struct header_digest *digest_r)
{
	struct spare_reply reply;
	enum spare_result result;

	result = migration_imapc_spare_fetch(mlist->spare, uid,
		mlist->profile.headers_changed ? "BODY.PEEK[]" :
		"BODY.PEEK[HEADER]", &reply);
	if (result == SPARE_OK) {
		digest_header(reply.text, digest_r);
		i_stream_unref(&reply.text);
	}
	return result;
}

static bool
mail_is_same(struct migration_imapc_list *mlist, struct mail *mail,
	     bool *compared_r)
{
	struct header_digest here, there;
	struct istream *input;
	enum spare_result result;
	bool same;

	*compared_r = FALSE;
	result = source_header(mlist, mail->uid, &there);
	if (result == SPARE_NO_DATA)
		return TRUE; /* it may be gone meanwhile */
	if (result != SPARE_OK ||
	    mail_get_hdr_stream(mail, NULL, &input) < 0)
		return FALSE;
	digest_header(input, &here);
	same = header_digest_compare(&here, &there) != HEADER_LIKENESS_OTHER;
	*compared_r = same && header_digest_is_telling(&here);
	return same;
}

/* The i-th of the compared mails: the first, one between, the last. */
static uint32_t sample_position(unsigned int messages, unsigned int i)
{
	return 1 + (uint64_t)(messages - 1) * i / (SAME_MAILS_COUNT - 1);
}

static bool
box_is_same(struct migration_imapc_list *mlist, struct mailbox *box)
{
	struct mailbox_transaction_context *t;
	struct mailbox_status status;
	struct mail *mail;
	unsigned int i, compared_count = 0;
	bool compared, same = TRUE;

	if (mailbox_open(box) < 0 || mailbox_sync(box, 0) < 0)
		return FALSE;
	mailbox_get_open_status(box, STATUS_MESSAGES, &status);
	if (status.messages == 0)
		return FALSE;
	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	for (i = 0; i < SAME_MAILS_COUNT && same; i++) {
		if (i > 0 && status.messages <= i)
			break;
		mail_set_seq(mail, sample_position(status.messages, i));
		same = mail_is_same(mlist, mail, &compared);
		if (compared)
			compared_count++;
	}
	mail_free(&mail);
	mailbox_transaction_rollback(&t);
	return same && compared_count > 0;
}

struct header_list {
	ARRAY(struct header_digest) digests;
};

static void
note_header(void *context, const struct mailbox_evidence *evidence)
{
	struct header_list *list = context;

	array_push_back(&list->digests, evidence->header);
}

static bool
header_is_listed(const struct header_list *list,
		 const struct header_digest *wanted)
{
	const struct header_digest *digest;

	array_foreach(&list->digests, digest) {
		if (header_digest_is_telling(wanted) &&
		    header_digest_compare(digest, wanted) ==
		    HEADER_LIKENESS_EQUAL)
			return TRUE;
	}
	return FALSE;
}

/* The source's mailbox was numbered anew, so its UIDs are 1, 2, …: its first mail
   is here, and of three only the last may be new. */
static bool
source_is_listed(struct migration_imapc_list *mlist, unsigned int messages,
		 const struct header_list *list)
{
	struct header_digest digest;
	unsigned int i, samples = I_MIN(messages, SAME_MAILS_COUNT);
	uint32_t uid;

	for (i = 0; i + 1 < samples || i == 0; i++) {
		uid = sample_position(messages, i);
		if (source_header(mlist, uid, &digest) != SPARE_OK ||
		    !header_is_listed(list, &digest))
			return FALSE;
	}
	return TRUE;
}

static bool
box_has_mails_of(struct migration_imapc_list *mlist, unsigned int messages,
		 struct mailbox *box)
{
	struct header_list list;
	struct mailbox_status status;
	ARRAY_TYPE(seq_range) uids;
	const char *error;
	bool same;

	if (mailbox_open(box) < 0 || mailbox_sync(box, 0) < 0)
		return FALSE;
	mailbox_get_open_status(box, STATUS_MESSAGES, &status);
	if (!mailbox_rename_counts_fit(messages, status.messages))
		return FALSE;
	t_array_init(&uids, 1);
	seq_range_array_add_range(&uids, 1, (uint32_t)-1);
	i_array_init(&list.digests, status.messages);
	same = mailbox_evidence_read(box, &uids, MAILBOX_EVIDENCE_HEADER,
				     note_header, &list, &error) == 0 &&
		source_is_listed(mlist, messages, &list);
	array_free(&list.digests);
	return same;
}

/* Opens the source's mailbox on the spare connection. */
static bool
renames_open_source(struct migration_imapc_renames *renames,
		    const struct rename_source *source, uint32_t *uidvalidity_r)
{
	struct migration_imapc_list *mlist = renames->mlist;
	const char *remote_name;
	bool login;

	remote_name = imapc_list_storage_to_remote_name(mlist->list,
		mailbox_list_get_storage_name(&mlist->list->list,
			source_vname(renames, source)));
	return migration_imapc_spare_open(migration_imapc_spare_get(mlist),
					  remote_name, TRUE, uidvalidity_r,
					  &login) == SPARE_OK;
}

static bool
renames_same_mails(void *context, const struct rename_source *source,
		   const struct rename_dest *dest)
{
	struct migration_imapc_renames *renames = context;
	struct migration_imapc_list *mlist = renames->mlist;
	struct mail_user *dest_user =
		migration_imapc_user_find_first(mlist->list->list.ns->user);
	bool anew = source->uidvalidity != dest->uidvalidity;
	struct mailbox *box;
	uint32_t uidvalidity;
	bool same;

	/* courier-examine: one that nobody has selected yet has another
	   UIDVALIDITY each time */
	if (dest_user == NULL ||
	    !renames_open_source(renames, source, &uidvalidity) ||
	    (!anew && uidvalidity != source->uidvalidity))
		return FALSE;
	box = migration_imapc_sides_alloc(dest_user, dest_vname(renames, dest));
	same = anew ? box_has_mails_of(mlist, source->messages, box) :
		box_is_same(mlist, box);
	mailbox_free(&box);
	migration_imapc_spare_rest(mlist);
	e_debug(mlist->muser->event, "mailbox %s at the source and %s here have "
		"%s mails", source_vname(renames, source),
		dest_vname(renames, dest), same ? "the same" : "other");
	return same;
}

/* ---- all mailboxes ---- */

void migration_imapc_renames_add_source(struct migration_imapc_list *mlist,
					const char *vname, const char *id,
					const struct sync_side *side)
{
	struct migration_imapc_renames *renames = mlist->renames;
	struct rename_source *source;
	pool_t pool;

	if (renames == NULL) {
		pool = pool_alloconly_create("migration imapc renames", 4096);
		renames = p_new(pool, struct migration_imapc_renames, 1);
		renames->pool = pool;
		renames->mlist = mlist;
		p_array_init(&renames->sources, pool, 64);
		p_array_init(&renames->dests, pool, 64);
		p_array_init(&renames->known, pool, 64);
		p_array_init(&renames->source_vnames, pool, 64);
		p_array_init(&renames->dest_vnames, pool, 64);
		hash_table_create(&renames->by_vname, pool, 0, str_hash, strcmp);
		mlist->renames = renames;
	}
	source = array_append_space(&renames->sources);
	source->name = p_strdup(renames->pool,
		comparable_name(&mlist->list->list, vname));
	source->id = p_strdup(renames->pool, id);
	source->uidvalidity = side->uidvalidity;
	source->uidnext = side->uidnext;
	source->messages = side->messages;
	mail_generate_guid_128_hash(mailbox_list_get_storage_name(
		&mlist->list->list, vname), source->stock_guid);
	vname = p_strdup(renames->pool, vname);
	array_push_back(&renames->source_vnames, &vname);
}

static void
renames_add_dest(void *context, const char *vname, const guid_128_t guid,
		 const struct sync_side *side)
{
	struct migration_imapc_renames *renames = context;
	struct mail_user *dest_user = migration_imapc_user_find_first(
		renames->mlist->list->list.ns->user);
	struct mail_namespace *ns;
	struct rename_dest *dest;

	if (dest_user == NULL)
		return;
	ns = mail_namespace_find(dest_user->namespaces, vname);
	dest = array_append_space(&renames->dests);
	dest->name = p_strdup(renames->pool, comparable_name(ns->list, vname));
	vname = p_strdup(renames->pool, vname);
	array_push_back(&renames->dest_vnames, &vname);
	dest->uidvalidity = side->uidvalidity;
	dest->uidnext = side->uidnext;
	guid_128_copy(dest->guid, guid);
}

/* Without dsync nobody has asked the destination's mailboxes for their state. */
static void
renames_read_dests(struct migration_imapc_renames *renames,
		   struct mail_user *dest_user,
		   const ARRAY_TYPE(const_string) *vnames)
{
	struct mailbox_metadata metadata;
	struct mailbox_status status;
	struct sync_side side = { .uidvalidity = 0 };
	struct mailbox *box;
	const char *vname;

	array_foreach_elem(vnames, vname) {
		box = migration_imapc_sides_alloc(dest_user, vname);
		if (mailbox_get_status(box, STATUS_UIDVALIDITY | STATUS_UIDNEXT,
				       &status) == 0 &&
		    mailbox_get_metadata(box, MAILBOX_METADATA_GUID,
					 &metadata) == 0) {
			side.uidvalidity = status.uidvalidity;
			side.uidnext = status.uidnext;
			renames_add_dest(renames, vname, metadata.guid, &side);
		}
		mailbox_free(&box);
	}
}

/* What the destination will have under the new names when dsync has renamed:
   nothing of it is to be fetched again. */
static void renames_move_sides(struct migration_imapc_renames *renames)
{
	struct migration_imapc_user *muser = renames->mlist->muser;
	const struct rename_source *source;
	const struct rename_dest *dest;
	struct sync_side *sides, side;
	const char *vname;
	unsigned int i, count = array_count(&renames->sources);

	sides = t_new(struct sync_side, count + 1);
	for (i = 0; i < count; i++) {
		dest = source_dest(renames, array_idx(&renames->sources, i));
		if (dest != NULL) {
			(void)migration_imapc_sides_get_dest(muser,
				dest_vname(renames, dest), &sides[i]);
		}
	}
	for (i = 0; i < count; i++) {
		source = array_idx(&renames->sources, i);
		vname = source_vname(renames, source);
		dest = source_dest(renames, source);
		if (dest != NULL && strcmp(dest->name, source->name) != 0) {
			migration_imapc_sides_set_dest(muser, vname, &sides[i]);
			continue;
		}
		/* what it is called there now goes to another name */
		if (dest == NULL &&
		    migration_imapc_sides_get_dest(muser, vname, &side) &&
		    side.uidvalidity != source->uidvalidity) {
			i_zero(&side);
			migration_imapc_sides_set_dest(muser, vname, &side);
		}
	}
}

static void renames_tell(struct migration_imapc_renames *renames)
{
	struct mail_user *user = renames->mlist->list->list.ns->user;
	const struct rename_source *source;
	const struct rename_dest *dest;

	array_foreach(&renames->sources, source) {
		dest = source_dest(renames, source);
		if (dest == NULL || strcmp(dest->name, source->name) == 0)
			continue;
		migration_run_finding(migration_run_find(user),
			MIGRATION_SEVERITY_INFO,
			source_vname(renames, source), 0,
			FINDING_MAILBOX_MOVED,
			"it was called %s at the last run, "
			"and is renamed here, too",
			dest_vname(renames, dest));
	}
}

static void renames_decide(struct migration_imapc_renames *renames, bool may_rename)
{
	struct migration_imapc_list *mlist = renames->mlist;
	const struct rename_source *source;

	renames->path = p_strdup(renames->pool, renames_path(mlist));
	renames->key = p_strdup(renames->pool, renames_key(mlist));
	if (renames->path != NULL)
		renames_load(renames);
	mailbox_renames_find(&renames->sources, &renames->dests,
			     &renames->known, may_rename, renames_same_mails,
			     renames);
	array_foreach(&renames->sources, source)
		hash_table_insert(renames->by_vname,
				  source_vname(renames, source), source);
}

void migration_imapc_renames_find(struct migration_imapc_list *mlist)
{
	struct migration_imapc_renames *renames = mlist->renames;
	const struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);

	if (renames == NULL)
		return;
	if (array_is_created(&run->ahead.dest_names)) {
		/* the plan of a backup writes and tells nothing */
		renames_read_dests(renames, migration_imapc_user_find_first(
			mlist->list->list.ns->user), &run->ahead.dest_names);
		renames_decide(renames, TRUE);
		return;
	}
	migration_imapc_sides_foreach_dest(mlist->muser, renames_add_dest,
					   renames);
	renames_decide(renames, strcmp(run->command, "backup") == 0);
	if (renames->path != NULL)
		renames_save(renames);
	renames_move_sides(renames);
	renames_tell(renames);
}

bool migration_imapc_renames_get_guid(struct migration_imapc_list *mlist,
				      const char *vname, guid_128_t guid_r)
{
	const struct rename_source *source;

	if (mlist->renames == NULL)
		return FALSE;
	source = hash_table_lookup(mlist->renames->by_vname, vname);
	if (source == NULL)
		return FALSE;
	guid_128_copy(guid_r, source->guid);
	return TRUE;
}

/* ---- at the destination ---- */

/* The visible names of the mailbox and of those below it that are subscribed. */
static void
subscribed_names(struct mailbox *box, ARRAY_TYPE(const_string) *names)
{
	char sep = mail_namespace_get_sep(mailbox_get_namespace(box));
	const char *const patterns[] = {
		box->vname, t_strdup_printf("%s%c*", box->vname, sep), NULL
	};
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	const char *name;

	iter = mailbox_list_iter_init_multiple(box->list, patterns,
		MAILBOX_LIST_ITER_SELECT_SUBSCRIBED |
		MAILBOX_LIST_ITER_NO_AUTO_BOXES |
		MAILBOX_LIST_ITER_RETURN_NO_FLAGS);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		name = t_strdup(info->vname);
		array_push_back(names, &name);
	}
	/* a subscription that is not moved is put right by the next run */
	(void)mailbox_list_iter_deinit(&iter);
}

/* dsync-rename-subscription: dsync takes it for granted that a mailbox's
   subscription goes with it, and then changes what is still different. */
int migration_imapc_renames_rename_box(const struct mailbox_vfuncs *super,
				       struct mailbox *src, struct mailbox *dest)
{
	ARRAY_TYPE(const_string) names;
	struct mailbox_list *list = src->list;
	const char *name, *new_name;

	t_array_init(&names, 8);
	if (list == dest->list)
		subscribed_names(src, &names);
	if (super->rename_box(src, dest) < 0)
		return -1;
	array_foreach_elem(&names, name) {
		new_name = t_strconcat(dest->vname, name + strlen(src->vname),
				       NULL);
		(void)mailbox_list_set_subscribed(list,
			mailbox_list_get_storage_name(list, new_name), TRUE);
		(void)mailbox_list_set_subscribed(list,
			mailbox_list_get_storage_name(list, name), FALSE);
	}
	return 0;
}

void migration_imapc_renames_deinit(struct migration_imapc_list *mlist)
{
	struct migration_imapc_renames *renames = mlist->renames;

	if (renames == NULL)
		return;
	mlist->renames = NULL;
	hash_table_destroy(&renames->by_vname);
	pool_unref(&renames->pool);
}
