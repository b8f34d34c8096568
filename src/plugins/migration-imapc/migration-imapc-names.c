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
#include "imap-arg.h"
#include "mail-namespace.h"
#include "mailbox-tree.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "special-use.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-names-private.h"

/* ---- what the server says ---- */

static const struct {
	const char *name;
	enum mailbox_info_flags flag;
} list_flags[] = {
	{ "\\NoSelect", MAILBOX_NOSELECT },
	{ "\\NonExistent", MAILBOX_NONEXISTENT },
	{ "\\NoInferiors", MAILBOX_NOINFERIORS },
	{ "\\Subscribed", MAILBOX_SUBSCRIBED },
};

static enum mailbox_info_flags flag_parse(const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(list_flags); i++) {
		if (strcasecmp(list_flags[i].name, name) == 0)
			return list_flags[i].flag;
	}
	return special_use_flag(name);
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
	migration_imapc_names_init_rules(names);
	t_array_init(&entries, array_count(&names->listed) + 1);
	array_foreach(&names->listed, listed)
		migration_imapc_names_add_entry(names, listed, &entries);
	if (migration_imapc_names_decide(names, &entries) < 0)
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
	if (!list->ns->user->dsyncing)
		return vname;
	vname = compat_imapc_list_unescape(list, vname);
	if (strcmp(list->name, MAILBOX_LIST_NAME_IMAPC) == 0 &&
	    !compat_imapc_percent_is_misread())
		mailbox_list_name_unescape(&vname, '%');
	return vname;
}

/* A mailbox that was not in the list: one to be created, or subscribed to. */
static const char *
names_guess(struct migration_imapc_names *names, const char *remote_name)
{
	const char *reason;
	const char *name = migration_imapc_names_fit(names, remote_name,
						     &reason);

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
