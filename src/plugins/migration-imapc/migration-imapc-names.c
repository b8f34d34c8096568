/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which mailboxes of the source are shown, and under which names: those that they
   get at the destination. So dsync, verify and import see one tree on both sides.

   imapc's own names are not used: it is told to have no imapc_list_prefix, and
   what it made of LIST and LSUB is made again once the whole answer is there,
   since special-use and collisions are not known before. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "wildcard-match.h"
#include "imap-arg.h"
#include "mail-namespace.h"
#include "mailbox-tree.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "list-compat.h"
#include "mailbox-map.h"
#include "mailbox-name.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"

/* one line of LIST or LSUB */
struct listed_name {
	const char *remote_name;
	enum mailbox_info_flags flags;
};
ARRAY_DEFINE_TYPE(listed_name, struct listed_name);

struct migration_imapc_names {
	pool_t pool;
	struct migration_imapc_list *mlist;
	struct mailbox_map *map;
	/* imapc_list_prefix as it was written */
	const char *written_prefix;

	struct mailbox_namespaces namespaces;
	ARRAY_TYPE(listed_name) listed, subscribed;

	/* what follows is decided once all mailboxes are known */
	const char *prefix;
	struct mailbox_name_rules rules;
	/* remote name -> name at the destination, "" if it is left out */
	HASH_TABLE(const char *, const char *) names;
	/* the reverse */
	HASH_TABLE(const char *, const char *) remote_names;
	/* why the rules cannot be followed, or NULL */
	const char *error;

	/* the first LIST is imapc's question for the separator */
	bool separator_seen:1;
	bool built:1;
	/* findings were told once */
	bool told:1;
	bool inbox_left_out:1;
	/* asking for mailboxes, which may need names itself */
	bool asking:1;
	/* they could not be listed */
	bool failed:1;
};

/* ---- what the server says ---- */

static const struct {
	const char *name;
	enum mailbox_info_flags flag;
	bool special_use;
} list_flags[] = {
	{ "\\NoSelect", MAILBOX_NOSELECT, FALSE },
	{ "\\NonExistent", MAILBOX_NONEXISTENT, FALSE },
	{ "\\NoInferiors", MAILBOX_NOINFERIORS, FALSE },
	{ "\\Subscribed", MAILBOX_SUBSCRIBED, FALSE },
	{ "\\All", MAILBOX_SPECIALUSE_ALL, TRUE },
	{ "\\Archive", MAILBOX_SPECIALUSE_ARCHIVE, TRUE },
	{ "\\Drafts", MAILBOX_SPECIALUSE_DRAFTS, TRUE },
	{ "\\Flagged", MAILBOX_SPECIALUSE_FLAGGED, TRUE },
	{ "\\Junk", MAILBOX_SPECIALUSE_JUNK, TRUE },
	{ "\\Sent", MAILBOX_SPECIALUSE_SENT, TRUE },
	{ "\\Trash", MAILBOX_SPECIALUSE_TRASH, TRUE },
	{ "\\Important", MAILBOX_SPECIALUSE_IMPORTANT, TRUE },
};

static enum mailbox_info_flags flag_parse(const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(list_flags); i++) {
		if (strcasecmp(list_flags[i].name, name) == 0)
			return list_flags[i].flag;
	}
	return 0;
}

static const char *special_use_names(enum mailbox_info_flags flags)
{
	const char *names = "";
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(list_flags); i++) {
		if (list_flags[i].special_use &&
		    (flags & list_flags[i].flag) != 0) {
			names = t_strconcat(names, names[0] == '\0' ? "" : " ",
					    list_flags[i].name, NULL);
		}
	}
	return names;
}

static struct migration_imapc_names *
names_of_client(struct imapc_storage_client *client)
{
	struct migration_imapc_list *mlist;

	if (client->_list == NULL)
		return NULL;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&client->_list->list);
	return mlist == NULL ? NULL : mlist->names;
}

/* folder-with-separator: some write the separator behind a folder of folders. The
   INBOX may be written as the server likes. */
static const char *
names_normalize(struct migration_imapc_names *names, const char *remote_name,
		enum mailbox_info_flags flags)
{
	size_t len = strlen(remote_name);

	if (strcasecmp(remote_name, "INBOX") == 0)
		return "INBOX";
	if ((flags & MAILBOX_NOSELECT) != 0 && len > 1 &&
	    remote_name[len-1] == names->mlist->list->root_sep)
		len--;
	return p_strndup(names->pool, remote_name, len);
}

static void
names_add(struct migration_imapc_names *names, ARRAY_TYPE(listed_name) *listed,
	  const struct imap_arg *args)
{
	const struct imap_arg *flags;
	const char *remote_name, *flag;
	struct listed_name *name;

	if (!imap_arg_get_list(&args[0], &flags) ||
	    args[1].type == IMAP_ARG_EOL ||
	    !imap_arg_get_astring(&args[2], &remote_name) ||
	    remote_name[0] == '\0')
		return;
	name = array_append_space(listed);
	for (; imap_arg_get_atom(flags, &flag); flags++)
		name->flags |= flag_parse(flag);
	name->remote_name = names_normalize(names, remote_name, name->flags);
}

static void
names_untagged_list(const struct imapc_untagged_reply *reply,
		    struct imapc_storage_client *client)
{
	struct migration_imapc_names *names = names_of_client(client);

	if (names == NULL || client->_list->root_sep == '\0')
		return;
	if (names->separator_seen)
		names_add(names, &names->listed, reply->args);
	names->separator_seen = TRUE;
}

static void
names_untagged_lsub(const struct imapc_untagged_reply *reply,
		    struct imapc_storage_client *client)
{
	struct migration_imapc_names *names = names_of_client(client);

	if (names != NULL)
		names_add(names, &names->subscribed, reply->args);
}

static void
names_add_namespaces(struct migration_imapc_names *names,
		     const struct imap_arg *args,
		     ARRAY_TYPE(const_string) *prefixes)
{
	const struct imap_arg *namespaces, *ns;
	const char *prefix;

	if (!imap_arg_get_list(args, &namespaces))
		return;
	for (; imap_arg_get_list(namespaces, &ns); namespaces++) {
		if (!imap_arg_get_astring(&ns[0], &prefix))
			continue;
		prefix = p_strdup(names->pool, prefix);
		array_push_back(prefixes, &prefix);
	}
}

static void
names_untagged_namespace(const struct imapc_untagged_reply *reply,
			 struct imapc_storage_client *client)
{
	struct migration_imapc_names *names = names_of_client(client);
	const struct imap_arg *args = reply->args;

	if (names == NULL || args[0].type == IMAP_ARG_EOL ||
	    args[1].type == IMAP_ARG_EOL || args[2].type == IMAP_ARG_EOL)
		return;
	array_clear(&names->namespaces.personal);
	array_clear(&names->namespaces.other);
	array_clear(&names->namespaces.shared);
	names_add_namespaces(names, &args[0], &names->namespaces.personal);
	names_add_namespaces(names, &args[1], &names->namespaces.other);
	names_add_namespaces(names, &args[2], &names->namespaces.shared);
}

/* ---- what the destination can hold ---- */

/* dsync-name-fixes: dsync leaves names alone that are possible already */

static const char *const maildir_names[] = { "cur", "new", "tmp", NULL };
static const char *const dbox_names[] = { "dbox-Mails", NULL };

/* The namespace that the source's mailboxes come to, or NULL if there is no
   destination in this process. */
static struct mail_namespace *
names_dest_namespace(struct migration_imapc_names *names)
{
	struct mail_namespace *ns = names->mlist->list->list.ns;
	struct mail_user *dest = migration_imapc_user_find_first(ns->user);

	return dest == NULL ? NULL :
		mail_namespace_find_prefix(dest->namespaces, ns->prefix);
}

/* foreign-namespace: mailboxes whose names begin with another namespace's prefix
   would be that namespace's for every client: what is stored here could not be
   opened. */
static const char *const *
names_other_namespaces(struct migration_imapc_names *names,
		       const struct mail_namespace *dest_ns)
{
	ARRAY_TYPE(const_string) prefixes;
	const struct mail_namespace *ns;
	const char *prefix;

	p_array_init(&prefixes, names->pool, 4);
	for (ns = dest_ns->user->namespaces; ns != NULL; ns = ns->next) {
		if (ns == dest_ns || ns->prefix_len <= dest_ns->prefix_len ||
		    strncmp(ns->prefix, dest_ns->prefix,
			    dest_ns->prefix_len) != 0)
			continue;
		prefix = p_strndup(names->pool, ns->prefix + dest_ns->prefix_len,
				   ns->prefix_len - dest_ns->prefix_len - 1);
		array_push_back(&prefixes, &prefix);
	}
	array_append_zero(&prefixes);
	return array_front(&prefixes);
}

static void names_init_rules(struct migration_imapc_names *names)
{
	struct mail_namespace *dest_ns = names_dest_namespace(names);
	struct mailbox_name_rules *rules = &names->rules;
	struct mail_storage *storage;
	struct mailbox_list *dest;

	i_zero(rules);
	rules->separator = mail_namespace_get_sep(names->mlist->list->list.ns);
	rules->storage_separator = rules->separator;
	if (dest_ns == NULL || dest_ns->list == NULL) {
		rules->storage_escapes = TRUE;
		return;
	}
	dest = dest_ns->list;
	storage = mail_namespace_get_default_storage(dest_ns);
	rules->storage_separator = mailbox_list_get_hierarchy_sep(dest);
	rules->one_file_name = rules->storage_separator == '.';
	rules->storage_escapes = compat_list_get_storage_escape_char(dest) != '\0';
	rules->storage_utf8 = compat_list_is_utf8(dest);
	rules->percent_is_misread = compat_imapc_percent_is_misread();
	rules->other_namespaces = names_other_namespaces(names, dest_ns);
	if (storage == NULL || rules->one_file_name)
		return;
	if (strcmp(storage->name, "maildir") == 0) {
		rules->reserved = maildir_names;
		rules->root_has_files = TRUE;
	} else {
		rules->reserved = dbox_names;
	}
}

static bool
names_dest_can_hold(struct mail_namespace *dest_ns, const char *vname)
{
	struct mailbox *box;
	bool ret;

	if (dest_ns == NULL)
		return TRUE;
	if (mail_namespace_find(dest_ns->user->namespaces, vname) != dest_ns)
		return FALSE;
	box = mailbox_alloc(dest_ns->list, vname, MAILBOX_FLAG_READONLY);
	ret = mailbox_verify_create_name(box) == 0;
	mailbox_free(&box);
	return ret;
}

struct names_uses {
	struct migration_imapc_names *names;
	ARRAY(struct mailbox_map_use) uses;
};

static void
names_add_use(const char *special_use, const char *name, void *context)
{
	struct names_uses *uses = context;
	struct mailbox_map_use *use = array_append_space(&uses->uses);

	use->special_use = p_strdup(uses->names->pool, special_use);
	use->name = p_strdup(uses->names->pool, name);
}

/* ---- deciding ---- */

static const char *
names_below_prefix(struct migration_imapc_names *names, const char *remote_name)
{
	return mailbox_prefix_remove(remote_name, names->prefix,
				     names->mlist->list->root_sep);
}

/* The mailbox's name without rules, or NULL if it is outside of the prefix that
   was asked for. */
static const char *
names_fit(struct migration_imapc_names *names, const char *remote_name,
	  const char **reason_r)
{
	struct mail_namespace *ns = names->mlist->list->list.ns;
	const char *rest = names_below_prefix(names, remote_name);
	bool below_prefix = rest != NULL && rest[0] != '\0' &&
		names->prefix[0] != '\0';

	*reason_r = NULL;
	if (strcmp(remote_name, "INBOX") == 0 &&
	    (ns->flags & NAMESPACE_FLAG_INBOX_USER) != 0)
		return "INBOX";
	if (rest == NULL && names->written_prefix[0] != '\0')
		return NULL;
	/* the prefix itself is the namespace's root, here as there */
	if (rest != NULL && rest[0] == '\0' && ns->prefix_len > 0)
		return t_strndup(ns->prefix, ns->prefix_len - 1);
	if (strcmp(remote_name, "INBOX") == 0)
		return t_strconcat(ns->prefix, "INBOX", NULL);
	return t_strconcat(ns->prefix,
		mailbox_name_fit(below_prefix ? rest : remote_name,
				 names->mlist->list->root_sep, below_prefix,
				 &names->rules, reason_r), NULL);
}

static void
names_tell(struct migration_imapc_names *names, enum migration_severity severity,
	   const char *remote_name, const char *what, const char *why)
{
	if (names->told)
		return;
	migration_run_finding(migration_run_find(names->mlist->muser->user),
			      severity, remote_name, 0, what, "%s", why);
}

/* -x means the name at the source as well: "with.dot" leaves out what would be
   "with=2Edot". */
static bool
names_is_excluded(struct migration_imapc_names *names, const char *remote_name)
{
	static const char *const options[] = { "exclude-mailbox", "exclude" };
	const struct mailbox_name_rules rules = {
		.separator = names->rules.separator,
		.storage_escapes = TRUE,
	};
	const struct mail_namespace *ns = names->mlist->list->list.ns;
	const struct migration_run *run = migration_run_find(ns->user);
	const char *rest = names_below_prefix(names, remote_name);
	const char *name, *reason, *const *masks;
	unsigned int i;

	name = mailbox_name_fit(rest != NULL && rest[0] != '\0' ? rest :
				remote_name, names->mlist->list->root_sep,
				FALSE, &rules, &reason);
	for (i = 0; i < N_ELEMENTS(options); i++) {
		masks = migration_run_get_option(run, options[i]);
		for (; *masks != NULL; masks++) {
			if (wildcard_match(t_strconcat(ns->prefix, name, NULL),
					   *masks))
				return TRUE;
		}
	}
	return FALSE;
}

static void
names_add_entry(struct migration_imapc_names *names,
		const struct listed_name *listed,
		ARRAY_TYPE(mailbox_map_entry) *entries)
{
	char sep = names->mlist->list->root_sep;
	const char *remote_name = listed->remote_name, *name, *reason;
	const char *left_out = "";
	struct mailbox_map_entry *entry;

	if ((listed->flags & MAILBOX_NONEXISTENT) != 0 ||
	    hash_table_lookup(names->names, remote_name) != NULL)
		return;
	hash_table_insert(names->names, listed->remote_name, left_out);
	name = names_fit(names, remote_name, &reason);
	if (name == NULL) {
		names_tell(names, MIGRATION_SEVERITY_INFO, remote_name,
			   "mailbox-outside-prefix", "it is not below "
			   "imapc_list_prefix and is left out");
		return;
	}
	if (reason != NULL && names_is_excluded(names, remote_name))
		return;
	entry = array_append_space(entries);
	entry->remote_name = remote_name;
	entry->name = p_strdup(names->pool, name);
	entry->special_use = special_use_names(listed->flags);
	entry->owner = mailbox_prefix_owner(remote_name, &names->namespaces, sep);
	entry->is_inbox = strcmp(remote_name, "INBOX") == 0;
	entry->noselect = (listed->flags & MAILBOX_NOSELECT) != 0;
	entry->reason = p_strdup(names->pool, reason);
}

static void
names_tell_entry(struct migration_imapc_names *names,
		 const struct mailbox_map_entry *entry, const char *escaped)
{
	switch (entry->change) {
	case MAILBOX_MAP_KEPT:
		if (escaped != NULL) {
			names_tell(names, MIGRATION_SEVERITY_INFO,
				entry->remote_name, "mailbox-renamed",
				t_strdup_printf("it is called %s: %s",
						entry->dest, escaped));
		}
		if (entry->reason != NULL) {
			names_tell(names, MIGRATION_SEVERITY_INFO,
				entry->remote_name, "special-use-not-mapped",
				entry->reason);
		}
		break;
	case MAILBOX_MAP_RENAMED:
		names_tell(names, MIGRATION_SEVERITY_INFO, entry->remote_name,
			   "mailbox-renamed", t_strdup_printf(
				"it is called %s: %s", entry->dest,
				entry->reason));
		break;
	case MAILBOX_MAP_TAKEN:
		names_tell(names, MIGRATION_SEVERITY_WARNING,
			   entry->remote_name, "mailbox-name-taken",
			   t_strdup_printf("it is called %s: %s", entry->dest,
					   entry->reason));
		break;
	case MAILBOX_MAP_LEFT_OUT:
		names_tell(names, MIGRATION_SEVERITY_INFO, entry->remote_name,
			   "mailbox-left-out", entry->reason);
		break;
	case MAILBOX_MAP_MERGED:
		break;
	}
}

/* The destination has the last word. */
static int
names_check_dest(struct migration_imapc_names *names,
		 struct mail_namespace *dest_ns,
		 struct mailbox_map_entry *entry)
{
	const char *dest;

	if (entry->is_inbox || names_dest_can_hold(dest_ns, entry->dest))
		return 0;
	if (entry->change == MAILBOX_MAP_RENAMED) {
		names->error = p_strdup_printf(names->pool,
			"migration_imapc_map: the destination cannot have a "
			"mailbox %s: %s", entry->dest, entry->reason);
		return -1;
	}
	dest = mailbox_name_differ("Mailbox", entry->remote_name);
	entry->change = MAILBOX_MAP_TAKEN;
	entry->reason = "the destination cannot have a mailbox of its name";
	entry->dest = t_strconcat(dest_ns->prefix, dest, NULL);
	return 0;
}

static int
names_decide(struct migration_imapc_names *names,
	     ARRAY_TYPE(mailbox_map_entry) *entries)
{
	struct mail_namespace *dest_ns = names_dest_namespace(names);
	HASH_TABLE(const char *, const char *) escaped;
	struct mailbox_map_entry *entry;
	struct names_uses uses = { .names = names };
	const char *error;
	int ret = 0;

	t_array_init(&uses.uses, 8);
	if (dest_ns != NULL) {
		compat_namespace_get_special_uses(dest_ns, names_add_use,
						  &uses);
	}
	hash_table_create(&escaped, default_pool, 0, str_hash, strcmp);
	array_foreach_modifiable(entries, entry) {
		if (entry->reason != NULL) {
			hash_table_update(escaped, entry->remote_name,
					  entry->reason);
		}
	}
	if (mailbox_map_apply(names->map, array_count(&uses.uses) == 0 ? NULL :
			      array_front(&uses.uses), array_count(&uses.uses),
			      names->rules.separator, entries, &error) < 0) {
		names->error = p_strdup_printf(names->pool,
			"migration_imapc_map: %s", error);
		ret = -1;
	}
	array_foreach_modifiable(entries, entry) {
		if (ret < 0 || (entry->dest != NULL &&
				names_check_dest(names, dest_ns, entry) < 0)) {
			ret = -1;
			break;
		}
		names_tell_entry(names, entry,
				 hash_table_lookup(escaped, entry->remote_name));
	}
	hash_table_destroy(&escaped);
	return ret;
}

static void names_find_prefix(struct migration_imapc_names *names)
{
	const struct listed_name *listed;
	ARRAY_TYPE(const_string) remote_names;
	const char *reason;

	t_array_init(&remote_names, 64);
	array_foreach(&names->listed, listed)
		array_push_back(&remote_names, &listed->remote_name);
	array_append_zero(&remote_names);
	names->prefix = p_strdup(names->pool,
		mailbox_prefix_decide(names->written_prefix, &names->namespaces,
				      array_front(&remote_names),
				      names->mlist->list->root_sep, &reason));
	e_debug(names->mlist->muser->event, "mailboxes are below \"%s\" (%s), "
		"the hierarchy separator is '%c'", names->prefix, reason,
		names->mlist->list->root_sep);
}

/* imapc's own tree is replaced. */
static void names_fill_tree(struct migration_imapc_names *names)
{
	struct imapc_mailbox_list *list = names->mlist->list;
	const struct listed_name *listed;
	struct mailbox_node *node;
	const char *dest;
	bool created;

	mailbox_tree_deinit(&list->mailboxes);
	list->mailboxes = mailbox_tree_init(mail_namespace_get_sep(list->list.ns));
	mailbox_tree_set_parents_nonexistent(list->mailboxes);
	array_foreach(&names->listed, listed) T_BEGIN {
		dest = hash_table_lookup(names->names, listed->remote_name);
		if (dest != NULL && dest[0] != '\0') {
			node = mailbox_tree_get(list->mailboxes,
				migration_imapc_names_escape(names->mlist, dest),
				&created);
			node->flags = listed->flags;
		}
	} T_END;
	if ((list->list.ns->flags & NAMESPACE_FLAG_INBOX_USER) != 0 &&
	    !names->inbox_left_out)
		(void)mailbox_tree_get(list->mailboxes, "INBOX", &created);
}

void migration_imapc_names_build(struct migration_imapc_list *mlist)
{
	struct migration_imapc_names *names = mlist->names;
	ARRAY_TYPE(mailbox_map_entry) entries;
	const struct listed_name *listed;
	const struct mailbox_map_entry *entry;
	const char *dest;

	hash_table_clear(names->names, FALSE);
	hash_table_clear(names->remote_names, FALSE);
	names->error = NULL;
	names_find_prefix(names);
	names_init_rules(names);
	t_array_init(&entries, array_count(&names->listed) + 1);
	array_foreach(&names->listed, listed)
		names_add_entry(names, listed, &entries);
	if (names_decide(names, &entries) < 0)
		return;
	array_foreach(&entries, entry) {
		if (entry->is_inbox && entry->dest == NULL)
			names->inbox_left_out = TRUE;
		if (entry->dest == NULL)
			continue;
		dest = p_strdup(names->pool, entry->dest);
		hash_table_update(names->names, entry->remote_name, dest);
		hash_table_update(names->remote_names, dest,
				  entry->remote_name);
	}
	names->built = names->told = TRUE;
	names_fill_tree(names);
}

/* ---- asking ---- */

/* Lists as an import of this mailbox does, or dsync. */
static void
names_ask_for(struct migration_imapc_list *mlist, const char *vname)
{
	static const char *const all[] = { "*", NULL };
	struct migration_imapc_names *names = mlist->names;

	if (names->built || names->error != NULL || names->asking ||
	    names->failed)
		return;
	names->asking = TRUE;
	if (migration_imapc_user_is_imported(mlist->muser->user))
		migration_imapc_listing_ask_mailbox(mlist, vname);
	else
		migration_imapc_listing_ask(mlist, all);
	names->asking = FALSE;
}

int migration_imapc_names_ensure(struct migration_imapc_list *mlist)
{
	struct migration_imapc_names *names = mlist->names;
	enum mailbox_info_flags flags;

	if (names->built)
		return 0;
	if (names->error != NULL || names->asking || names->failed)
		return -1;
	names->asking = TRUE;
	/* lists, unless imapc did so a moment ago */
	names->failed = imapc_list_get_mailbox_flags(&mlist->list->list,
						     "INBOX", &flags) < 0;
	if (!names->failed)
		migration_imapc_listing_ask_namespace(mlist);
	names->asking = FALSE;
	if (names->failed)
		return -1;
	T_BEGIN {
		migration_imapc_names_build(mlist);
	} T_END;
	return names->built ? 0 : -1;
}

bool migration_imapc_names_are_known(struct migration_imapc_list *mlist)
{
	return mlist->names->built;
}

void migration_imapc_names_refresh(struct migration_imapc_list *mlist)
{
	if (mlist->list->refreshed_mailboxes)
		return;
	mlist->names->built = mlist->names->failed = FALSE;
	array_clear(&mlist->names->listed);
}

void migration_imapc_names_forget_subscriptions(struct migration_imapc_list *mlist)
{
	array_clear(&mlist->names->subscribed);
}

const char *migration_imapc_names_prefix(struct migration_imapc_list *mlist)
{
	return mlist->names->built ? mlist->names->prefix : "";
}

const char *migration_imapc_names_error(struct migration_imapc_list *mlist)
{
	return mlist->names->error;
}

/* ---- names that were asked for ---- */

static const char *escape_char_of(const char *name, char escape_char)
{
	const char chars[] = { escape_char, '\0' };
	string_t *str;

	if (escape_char == '\0' || strchr(name, escape_char) == NULL)
		return name;
	str = t_str_new(64);
	mailbox_list_name_escape(name, chars, str);
	return str_c(str);
}

const char *
migration_imapc_names_escape(struct migration_imapc_list *mlist,
			     const char *name)
{
	struct mailbox_list *list = &mlist->list->list;

	if (!list->ns->user->dsyncing)
		return name;
	/* imapc-percent: 2.3's dsync knows the destination's names with their %
	   escaped, and does not escape it in the source's */
	if (!compat_imapc_percent_is_misread())
		name = escape_char_of(name, '%');
	/* dsync takes this one off again */
	return escape_char_of(name, compat_imapc_list_get_escape_char(list));
}

const char *
migration_imapc_names_unescape(struct mailbox_list *list, const char *vname)
{
	char escape_char = compat_imapc_list_get_escape_char(list);

	if (!list->ns->user->dsyncing)
		return vname;
	if (escape_char != '\0')
		mailbox_list_name_unescape(&vname, escape_char);
	if (strcmp(list->name, MAILBOX_LIST_NAME_IMAPC) == 0 &&
	    !compat_imapc_percent_is_misread())
		mailbox_list_name_unescape(&vname, '%');
	return vname;
}

/* A mailbox that was not in the list: one to be created, or subscribed to. */
static const char *
names_guess(struct migration_imapc_names *names, const char *remote_name)
{
	const char *reason, *name = names_fit(names, remote_name, &reason);

	return name == NULL ? NULL :
		mailbox_map_name(names->map, name, names->rules.separator);
}

/* Returns NULL if the mailbox is left out. */
static const char *
names_lookup(struct migration_imapc_names *names, const char *remote_name)
{
	const char *name;

	if (strcasecmp(remote_name, "INBOX") == 0)
		remote_name = "INBOX";
	name = hash_table_lookup(names->names, remote_name);
	if (name == NULL)
		return names_guess(names, remote_name);
	return name[0] == '\0' ? NULL : name;
}

const char *
migration_imapc_names_get_vname(struct migration_imapc_list *mlist,
				const char *storage_name)
{
	struct migration_imapc_names *names = mlist->names;
	const char *name;

	/* what imapc makes of LIST and LSUB is replaced afterwards */
	if (!names->built || storage_name[0] == '\0')
		return mlist->module_ctx.super.get_vname(&mlist->list->list,
							 storage_name);
	name = names_lookup(names, imapc_list_storage_to_remote_name(mlist->list,
							storage_name));
	/* a name that is never used */
	return name == NULL ? t_strconcat(mlist->list->list.ns->prefix,
					  "=00", NULL) :
		migration_imapc_names_escape(mlist, name);
}

static const char *
names_unguess(struct migration_imapc_names *names, const char *vname)
{
	struct mail_namespace *ns = names->mlist->list->list.ns;
	char sep[] = { names->mlist->list->root_sep, '\0' };
	const char *remote_name;

	if (strncmp(vname, ns->prefix, ns->prefix_len) == 0)
		vname += ns->prefix_len;
	if (!mailbox_name_unfit(vname, names->rules.separator, sep[0],
				&remote_name))
		remote_name = vname;
	return names->prefix[0] == '\0' ? remote_name :
		t_strconcat(names->prefix, sep, remote_name, NULL);
}

const char *
migration_imapc_names_get_storage_name(struct migration_imapc_list *mlist,
				       const char *vname)
{
	struct migration_imapc_names *names = mlist->names;
	struct mailbox_list *list = &mlist->list->list;
	const char *remote_name, *plain;

	if (strcasecmp(vname, "INBOX") == 0)
		return mlist->module_ctx.super.get_storage_name(list, vname);
	names_ask_for(mlist, vname);
	if (migration_imapc_names_ensure(mlist) < 0)
		return mlist->module_ctx.super.get_storage_name(list, vname);
	plain = migration_imapc_names_unescape(list, vname);
	remote_name = hash_table_lookup(names->remote_names, plain);
	if (remote_name == NULL && (vname[0] == '\0' ||
	    strncmp(vname, list->ns->prefix, strlen(vname)) == 0)) {
		/* the namespace itself */
		return mlist->module_ctx.super.get_storage_name(list, vname);
	}
	if (remote_name == NULL)
		remote_name = names_unguess(names, plain);
	return compat_imapc_remote_to_storage_name(mlist->list, remote_name);
}

void migration_imapc_names_fill_subscriptions(struct migration_imapc_list *mlist,
					      struct mailbox_list *dest_list)
{
	struct migration_imapc_names *names = mlist->names;
	const struct listed_name *listed;
	struct mailbox_node *node;
	const char *name;
	bool created;

	if (dest_list->subscriptions != NULL)
		mailbox_tree_deinit(&dest_list->subscriptions);
	dest_list->subscriptions =
		mailbox_tree_init(mail_namespace_get_sep(dest_list->ns));
	array_foreach(&names->subscribed, listed) T_BEGIN {
		/* LSUB's \Noselect: not itself, but children of it */
		name = (listed->flags & MAILBOX_NOSELECT) != 0 ? NULL :
			names_lookup(names, listed->remote_name);
		if (name != NULL) {
			node = mailbox_tree_get(dest_list->subscriptions,
				migration_imapc_names_escape(mlist, name),
				&created);
			node->flags = MAILBOX_SUBSCRIBED;
		}
	} T_END;
}

/* ---- life ---- */

/* imapc-prefix-separator, imapc-prefix-neighbour, imapc-inbox-inbox: the prefix is
   taken off here, imapc knows of none. Changed in place, since others change these
   settings, too. Several lists of a user may have the same ones. */
static const char *names_take_prefix(struct migration_imapc_list *mlist)
{
	struct migration_imapc_user *muser = mlist->muser;
	struct imapc_settings *set = (struct imapc_settings *)mlist->list->set;

	if (muser->prefix_set != set) {
		muser->prefix_set = set;
		muser->prefix = set->imapc_list_prefix;
		set->imapc_list_prefix = "";
	}
	return muser->prefix;
}

void migration_imapc_names_init(struct migration_imapc_list *mlist)
{
	struct migration_imapc_names *names;
	const char *error;
	pool_t pool = pool_alloconly_create("migration imapc names", 4096);

	names = p_new(pool, struct migration_imapc_names, 1);
	names->pool = pool;
	names->mlist = mlist;
	names->written_prefix = names_take_prefix(mlist);
	names->prefix = "";
	/* the settings were checked */
	if (mailbox_map_parse(pool, mlist->muser->set->map, &names->map,
			      &error) < 0)
		i_unreached();
	p_array_init(&names->namespaces.personal, pool, 2);
	p_array_init(&names->namespaces.other, pool, 2);
	p_array_init(&names->namespaces.shared, pool, 2);
	p_array_init(&names->listed, pool, 64);
	p_array_init(&names->subscribed, pool, 64);
	hash_table_create(&names->names, pool, 0, str_hash, strcmp);
	hash_table_create(&names->remote_names, pool, 0, str_hash, strcmp);
	mlist->names = names;

	imapc_storage_client_register_untagged(mlist->list->client, "LIST",
					       names_untagged_list);
	imapc_storage_client_register_untagged(mlist->list->client, "LSUB",
					       names_untagged_lsub);
	imapc_storage_client_register_untagged(mlist->list->client, "NAMESPACE",
					       names_untagged_namespace);
}

void migration_imapc_names_deinit(struct migration_imapc_list *mlist)
{
	struct migration_imapc_names *names = mlist->names;
	pool_t pool = names->pool;

	hash_table_destroy(&names->names);
	hash_table_destroy(&names->remote_names);
	mlist->names = NULL;
	pool_unref(&pool);
}
