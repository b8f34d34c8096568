/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "strescape.h"
#include "wildcard-match.h"
#include "json-escape.h"
#include "mail-namespace.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "list-compat.h"
#include "mailbox-use.h"
#include "migration-run.h"
#include "special-use.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-names-private.h"

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

static void names_init_dest(struct migration_imapc_names *names)
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
names_dest_can_hold(struct mail_namespace *dest_ns,
		    const struct mailbox_map_entry *entry)
{
	const char *vname = entry->dest;
	struct mailbox *box;
	bool ret;

	if (dest_ns == NULL)
		return TRUE;
	if (mail_namespace_find(dest_ns->user->namespaces, vname) != dest_ns)
		return FALSE;
	/* allocating a mailbox costs more than all else that is decided here;
	   a rule of the administrator's may have any name */
	if (entry->change != MAILBOX_MAP_RENAMED &&
	    mailbox_name_is_plain(vname, mail_namespace_get_sep(dest_ns)))
		return TRUE;
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

static bool
names_have_use(const struct names_uses *uses, const char *special_use,
	       const char *name)
{
	const struct mailbox_map_use *use;

	array_foreach(&uses->uses, use) {
		if (strcasecmp(use->special_use, special_use) == 0 &&
		    strcmp(use->name, name) == 0)
			return TRUE;
	}
	return FALSE;
}

/* ---- deciding ---- */

static const char *
names_below_prefix(struct migration_imapc_names *names, const char *remote_name)
{
	return mailbox_prefix_remove(remote_name, names->prefix,
				     names->mlist->list->root_sep);
}

const char *
migration_imapc_names_fit(struct migration_imapc_names *names,
			  const char *remote_name, const char **reason_r)
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
	   const char *remote_name, enum finding_kind kind, const char *why)
{
	if (names->told)
		return;
	migration_run_finding(migration_run_find(names->mlist->muser->user),
			      severity, remote_name, 0, kind, "%s", why);
}

bool migration_imapc_names_is_excluded(const struct migration_run *run,
				       const char *vname,
				       const char *special_use)
{
	static const char *const options[] = { "exclude-mailbox", "exclude" };
	const char *const *uses = t_strsplit_spaces(special_use, " ");
	const char *const *masks;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(options); i++) {
		masks = migration_run_get_option(run, options[i]);
		for (; *masks != NULL; masks++) {
			if (**masks == '\\' ?
			    str_array_icase_find(uses, *masks) :
			    wildcard_match(vname, *masks))
				return TRUE;
		}
	}
	return FALSE;
}

/* -x means the name at the source as well: "with.dot" leaves out what would be
   "with=2Edot". */
static bool
names_is_excluded(struct migration_imapc_names *names, const char *remote_name)
{
	const struct mailbox_name_rules rules = {
		.separator = names->rules.separator,
		.storage_escapes = TRUE,
	};
	const struct mail_namespace *ns = names->mlist->list->list.ns;
	const struct migration_run *run = migration_run_find(ns->user);
	const char *rest = names_below_prefix(names, remote_name);
	const char *name, *reason;

	name = mailbox_name_fit(rest != NULL && rest[0] != '\0' ? rest :
				remote_name, names->mlist->list->root_sep,
				FALSE, &rules, &reason);
	return migration_imapc_names_is_excluded(
		run, t_strconcat(ns->prefix, name, NULL), "");
}

void migration_imapc_names_add_entry(struct migration_imapc_names *names,
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
	name = migration_imapc_names_fit(names, remote_name, &reason);
	if (name == NULL) {
		names_tell(names, MIGRATION_SEVERITY_INFO, remote_name,
			   FINDING_MAILBOX_OUTSIDE_PREFIX, "it is not below "
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
				entry->remote_name, FINDING_MAILBOX_RENAMED,
				t_strdup_printf("it is called %s: %s",
						entry->dest, escaped));
		}
		if (entry->reason != NULL) {
			names_tell(names, MIGRATION_SEVERITY_INFO,
				entry->remote_name,
				FINDING_SPECIAL_USE_NOT_MAPPED,
				entry->reason);
		}
		break;
	case MAILBOX_MAP_RENAMED:
		names_tell(names, MIGRATION_SEVERITY_INFO, entry->remote_name,
			   FINDING_MAILBOX_RENAMED, t_strdup_printf(
				"it is called %s: %s", entry->dest,
				entry->reason));
		break;
	case MAILBOX_MAP_TAKEN:
		names_tell(names, MIGRATION_SEVERITY_WARNING,
			   entry->remote_name, FINDING_MAILBOX_NAME_TAKEN,
			   t_strdup_printf("it is called %s: %s", entry->dest,
					   entry->reason));
		break;
	case MAILBOX_MAP_LEFT_OUT:
		names_tell(names, MIGRATION_SEVERITY_INFO, entry->remote_name,
			   FINDING_MAILBOX_LEFT_OUT, entry->reason);
		break;
	case MAILBOX_MAP_MERGED:
		break;
	}
}

/* Special-use is configuration in Dovecot: says which lines would keep what the
   source has and the destination is not configured for. */
static void
names_tell_special_use(struct migration_imapc_names *names,
		       const struct names_uses *uses,
		       const ARRAY_TYPE(mailbox_map_entry) *entries)
{
	const struct mailbox_map_entry *entry;
	string_t *json = t_str_new(256), *line = t_str_new(64);
	const char *const *words;

	array_foreach(entries, entry) {
		words = t_strsplit_spaces(entry->special_use, " ");
		for (; *words != NULL; words++) {
			if (entry->dest == NULL || entry->is_inbox ||
			    names_have_use(uses, *words, entry->dest))
				continue;
			str_truncate(line, 0);
			str_printfa(line, "mailbox \"%s\" { special_use = %s }",
				    str_escape(entry->dest), *words);
			str_append(json, str_len(json) == 0 ? "\"" : ", \"");
			json_append_escaped(json, str_c(line));
			str_append_c(json, '"');
		}
	}
	if (str_len(json) > 0 && !names->told) {
		migration_run_add_section(
			migration_run_find(names->mlist->muser->user),
			"special_use_missing",
			t_strdup_printf("[%s]", str_c(json)));
	}
}

static void
json_add_reason(string_t *json, const char *what, const char *mailboxes,
		const char *why)
{
	str_append(json, str_len(json) == 0 ? "{" : ", {");
	str_printfa(json, "\"what\": \"%s\", ", what);
	if (mailboxes != NULL)
		str_printfa(json, "\"mailboxes\": [%s], ", mailboxes);
	str_append(json, "\"why\": \"");
	json_append_escaped(json, why);
	str_append(json, "\"}");
}

/* What the source has beside mails, and the destination cannot be given. Nothing
   is asked for it. */
static void names_tell_not_carried(struct migration_imapc_names *names)
{
	struct mail_user *user = names->mlist->list->list.ns->user;
	struct migration_run *run = migration_run_find(user);
	string_t *json = t_str_new(256), *mailboxes = t_str_new(256);
	const struct listed_name *listed;
	const char *const *words = t_strsplit_spaces(
		run->source_capabilities == NULL ? "" :
		run->source_capabilities, " ");

	if (names->told)
		return;
	array_foreach(&names->listed, listed) {
		if ((listed->flags & MAILBOX_NOINFERIORS) == 0)
			continue;
		str_append(mailboxes, str_len(mailboxes) == 0 ? "\"" : ", \"");
		json_append_escaped(mailboxes, listed->remote_name);
		str_append_c(mailboxes, '"');
	}
	if (str_len(mailboxes) > 0) {
		json_add_reason(json, "noinferiors", str_c(mailboxes),
			"Dovecot's mailboxes can always have others below them");
	}
	if (str_array_icase_find(words, "ACL")) {
		json_add_reason(json, "acl", NULL, "dsync reads no rights over "
			"IMAP: who shares mailboxes has to share them again");
	}
	if ((str_array_icase_find(words, "METADATA") ||
	     str_array_icase_find(words, "METADATA-SERVER")) &&
	    (!names->mlist->muser->keeps_metadata ||
	     !compat_imapc_reads_metadata())) {
		json_add_reason(json, "metadata", NULL, "Dovecot 2.3 does not "
			"read it over IMAP, 2.4 only into a mail_attribute dict "
			"of the destination");
	}
	if (str_len(json) > 0) {
		migration_run_add_section(run, "not_carried",
			t_strdup_printf("[%s]", str_c(json)));
	}
}

/* The destination has the last word. */
static int
names_check_dest(struct migration_imapc_names *names,
		 struct mail_namespace *dest_ns,
		 struct mailbox_map_entry *entry)
{
	const char *dest;

	if (entry->is_inbox || names_dest_can_hold(dest_ns, entry))
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

int migration_imapc_names_decide(struct migration_imapc_names *names,
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
	if (names->mlist->muser->set->localized_names)
		mailbox_use_guess(entries, names->rules.separator);
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
	if (ret == 0 && dest_ns != NULL) {
		names_tell_special_use(names, &uses, entries);
		names_tell_not_carried(names);
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

void migration_imapc_names_init_rules(struct migration_imapc_names *names)
{
	names_find_prefix(names);
	names_init_dest(names);
}
