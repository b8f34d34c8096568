/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "mailbox-name.h"
#include "mailbox-map.h"

enum rule_kind {
	RULE_RENAME,
	RULE_EXCLUDE,
	RULE_INCLUDE,
};

struct rule {
	enum rule_kind kind;
	/* as it was written */
	const char *text;
	/* "\Sent", or a name with "/" between levels */
	const char *pattern;
	bool special_use, wildcards;
	/* NULL unless it renames */
	const char *target;
};

struct mailbox_map {
	pool_t pool;
	ARRAY(struct rule) rules;
	bool have_includes;
};

/* ---- parsing ---- */

/* Reads one word or quoted string up to one of the ends. */
static int
parse_word(const char **text, const char *ends, string_t *dest, bool *quoted_r)
{
	const char *p = *text;

	while (*p == ' ' || *p == '\t')
		p++;
	*quoted_r = *p == '"';
	if (!*quoted_r) {
		while (*p != '\0' && strchr(ends, *p) == NULL)
			str_append_c(dest, *p++);
		while (str_len(dest) > 0 &&
		       strchr(" \t\r", str_c(dest)[str_len(dest)-1]) != NULL)
			str_truncate(dest, str_len(dest) - 1);
		*text = p;
		return 0;
	}
	for (p++; *p != '"'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		if (*p == '\0')
			return -1;
		str_append_c(dest, *p);
	}
	p++;
	while (*p == ' ' || *p == '\t' || *p == '\r')
		p++;
	*text = p;
	return *p == '\0' || strchr(ends, *p) != NULL ? 0 : -1;
}

static unsigned int count_stars(const char *text)
{
	unsigned int count = 0;

	for (; *text != '\0'; text++) {
		if (*text == '*')
			count++;
	}
	return count;
}

static const char *
parse_rule(struct mailbox_map *map, const char **text, struct rule *rule)
{
	string_t *pattern = t_str_new(64), *target = t_str_new(64);
	bool quoted, target_quoted;

	i_zero(rule);
	if (**text == '!' || **text == '+') {
		rule->kind = **text == '!' ? RULE_EXCLUDE : RULE_INCLUDE;
		(*text)++;
	}
	if (parse_word(text, "=;\n", pattern, &quoted) < 0)
		return "the quotes are not closed";
	if (str_len(pattern) == 0)
		return "it names no mailbox";
	rule->pattern = p_strdup(map->pool, str_c(pattern));
	rule->special_use = !quoted && rule->pattern[0] == '\\';
	rule->wildcards = !quoted && !rule->special_use &&
		strpbrk(rule->pattern, "*?") != NULL;
	if (rule->kind != RULE_RENAME)
		return **text == '=' ? "it leaves out, or takes in, and cannot "
			"rename" : NULL;
	if (**text != '=')
		return "it has no \"=\"";
	(*text)++;
	if (parse_word(text, ";\n", target, &target_quoted) < 0)
		return "the quotes are not closed";
	if (str_len(target) == 0)
		return "it has no name after \"=\"";
	rule->target = p_strdup(map->pool, str_c(target));
	if (!target_quoted && rule->target[0] == '\\')
		return "what is after \"=\" must be a name";
	if (count_stars(rule->target) > (rule->wildcards ?
					 count_stars(rule->pattern) : 0))
		return "more \"*\" after \"=\" than before it";
	return NULL;
}

int mailbox_map_parse(pool_t pool, const char *text,
		      struct mailbox_map **map_r, const char **error_r)
{
	struct mailbox_map *map = p_new(pool, struct mailbox_map, 1);
	const char *start, *error;
	struct rule rule;

	map->pool = pool;
	p_array_init(&map->rules, pool, 8);
	for (;;) {
		while (*text != '\0' && strchr(" \t\r\n;", *text) != NULL)
			text++;
		if (*text == '\0')
			break;
		start = text;
		error = parse_rule(map, &text, &rule);
		rule.text = p_strdup(pool, t_strcut(t_strcut(start, '\n'), ';'));
		if (error != NULL) {
			*error_r = t_strdup_printf("rule \"%s\": %s", rule.text,
						   error);
			return -1;
		}
		if (rule.kind == RULE_INCLUDE)
			map->have_includes = TRUE;
		array_push_back(&map->rules, &rule);
	}
	*map_r = map;
	return 0;
}

/* ---- one mailbox and one rule ---- */

/* Matches the rest of the pattern; matches get what each "*" matched, the
   shortest possible. */
static bool
match_wildcards(const char *pattern, const char *name,
		const char **matches, unsigned int count)
{
	const char *end;

	for (; *pattern != '\0' && *pattern != '*'; pattern++, name++) {
		if (*name == '\0' || (*pattern != '?' && *pattern != *name))
			return FALSE;
	}
	if (*pattern == '\0')
		return *name == '\0';
	for (end = name; ; end++) {
		if (match_wildcards(pattern + 1, end, matches + 1, count - 1)) {
			matches[0] = t_strdup_until(name, end);
			return TRUE;
		}
		if (*end == '\0')
			return FALSE;
	}
}

static const char *with_separator(const char *name, char from, char to)
{
	char *copy = t_strdup_noconst(name), *p;

	for (p = copy; *p != '\0'; p++) {
		if (*p == from)
			*p = to;
	}
	return copy;
}

static bool
special_use_matches(const struct rule *rule,
		    const struct mailbox_map_entry *entry)
{
	if (strcasecmp(rule->pattern, "\\Other") == 0)
		return entry->owner == MAILBOX_OWNER_OTHER_USER;
	if (strcasecmp(rule->pattern, "\\Shared") == 0)
		return entry->owner == MAILBOX_OWNER_SHARED;
	return str_array_icase_find(t_strsplit_spaces(entry->special_use, " "),
				    rule->pattern);
}

/* dest_r may be NULL; else it is the name that the rule gives. */
static bool
rule_matches(const struct rule *rule, const struct mailbox_map_entry *entry,
	     char separator, const char **dest_r)
{
	const char *name = with_separator(entry->name, separator, '/');
	const char *const *match, *p;
	const char **matches;
	unsigned int count;
	string_t *dest;

	if (rule->special_use) {
		if (!special_use_matches(rule, entry))
			return FALSE;
		match = NULL;
	} else if (rule->wildcards) {
		count = count_stars(rule->pattern);
		matches = t_new(const char *, count + 1);
		if (!match_wildcards(rule->pattern, name, matches, count))
			return FALSE;
		match = matches;
	} else {
		if (strcmp(rule->pattern, name) != 0)
			return FALSE;
		match = NULL;
	}
	if (rule->target == NULL || dest_r == NULL)
		return TRUE;
	dest = t_str_new(128);
	for (p = rule->target; *p != '\0'; p++) {
		if (*p == '*' && match != NULL)
			str_append(dest, *match++);
		else
			str_append_c(dest, *p);
	}
	*dest_r = with_separator(str_c(dest), '/', separator);
	return TRUE;
}

static const struct rule *
find_rule(const struct mailbox_map *map, const struct mailbox_map_entry *entry,
	  enum rule_kind kind, char separator, const char **dest_r)
{
	const struct rule *rule;

	array_foreach(&map->rules, rule) {
		if (rule->kind == kind &&
		    rule_matches(rule, entry, separator, dest_r))
			return rule;
	}
	return NULL;
}

/* Why the mailbox is not migrated, or NULL. */
static const char *
is_left_out(const struct mailbox_map *map,
	    const struct mailbox_map_entry *entry, char separator)
{
	const struct rule *rule;

	rule = find_rule(map, entry, RULE_EXCLUDE, separator, NULL);
	if (rule != NULL)
		return t_strdup_printf("migration_imapc_map has %s", rule->text);
	if (map->have_includes &&
	    find_rule(map, entry, RULE_INCLUDE, separator, NULL) == NULL)
		return "no + rule in migration_imapc_map takes it in";
	return NULL;
}

const char *
mailbox_map_name(const struct mailbox_map *map, const char *name,
		 char separator)
{
	struct mailbox_map_entry entry = {
		.name = name,
		.special_use = "",
	};
	const char *dest = name;

	if (is_left_out(map, &entry, separator) != NULL)
		return NULL;
	(void)find_rule(map, &entry, RULE_RENAME, separator, &dest);
	return dest;
}

/* ---- all mailboxes ---- */

struct apply {
	const struct mailbox_map *map;
	char separator;
	/* name without rules -> entry */
	HASH_TABLE(const char *, struct mailbox_map_entry *) by_name;
	/* name at the destination -> entry */
	HASH_TABLE(const char *, struct mailbox_map_entry *) by_dest;
};

static int
entry_cmp(const struct mailbox_map_entry *e1, const struct mailbox_map_entry *e2)
{
	return strcmp(e1->remote_name, e2->remote_name);
}

/* The mailbox that has this special-use, if it is the only one. */
static struct mailbox_map_entry *
find_by_use(ARRAY_TYPE(mailbox_map_entry) *entries, const char *special_use)
{
	struct mailbox_map_entry *entry, *found = NULL;

	array_foreach_modifiable(entries, entry) {
		if (entry->noselect || entry->dest == NULL ||
		    !str_array_icase_find(t_strsplit_spaces(entry->special_use,
							    " "), special_use))
			continue;
		if (found != NULL)
			return NULL;
		found = entry;
	}
	return found;
}

/* One of the names that the destination has for this use is the mailbox's. */
static bool
is_place_of_use(const struct mailbox_map_use *uses, unsigned int count,
		const char *special_use, const char *name)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (strcasecmp(uses[i].special_use, special_use) == 0 &&
		    strcmp(uses[i].name, name) == 0)
			return TRUE;
	}
	return FALSE;
}

static void
apply_uses(struct apply *apply, const struct mailbox_map_use *uses,
	   unsigned int count, ARRAY_TYPE(mailbox_map_entry) *entries)
{
	struct mailbox_map_entry *entry, *rival;
	unsigned int i;

	for (i = 0; i < count; i++) {
		entry = find_by_use(entries, uses[i].special_use);
		if (entry == NULL || entry->is_inbox ||
		    entry->change != MAILBOX_MAP_KEPT ||
		    is_place_of_use(uses, count, uses[i].special_use,
				    entry->name))
			continue;
		rival = hash_table_lookup(apply->by_name, uses[i].name);
		if (rival != NULL && rival->change == MAILBOX_MAP_KEPT &&
		    !rival->noselect) {
			entry->reason = t_strdup_printf("the destination's %s "
				"mailbox is %s, but the source has another "
				"mailbox of that name (%s)", uses[i].special_use,
				uses[i].name, rival->remote_name);
			continue;
		}
		entry->dest = uses[i].name;
		entry->change = MAILBOX_MAP_RENAMED;
		entry->reason = t_strdup_printf("it is the destination's %s "
			"mailbox", uses[i].special_use);
	}
}

static void
apply_rules(struct apply *apply, struct mailbox_map_entry *entry)
{
	const struct rule *rule;
	const char *dest;

	entry->dest = entry->name;
	entry->change = MAILBOX_MAP_KEPT;
	entry->reason = is_left_out(apply->map, entry, apply->separator);
	if (entry->reason != NULL) {
		entry->dest = NULL;
		entry->change = MAILBOX_MAP_LEFT_OUT;
		return;
	}
	rule = find_rule(apply->map, entry, RULE_RENAME, apply->separator,
			 &dest);
	if (rule == NULL || strcmp(dest, entry->name) == 0)
		return;
	entry->dest = dest;
	entry->change = MAILBOX_MAP_RENAMED;
	entry->reason = t_strdup_printf("migration_imapc_map has %s",
					rule->text);
}

/* A mailbox without a rule of its own goes with the nearest parent that has
   one. */
static void
apply_parents(struct apply *apply, struct mailbox_map_entry *entry)
{
	struct mailbox_map_entry *parent;
	const char *p;

	if (entry->change != MAILBOX_MAP_KEPT || entry->is_inbox)
		return;
	for (p = entry->name + strlen(entry->name); p > entry->name; p--) {
		if (*p != apply->separator)
			continue;
		parent = hash_table_lookup(apply->by_name,
					   t_strdup_until(entry->name, p));
		if (parent == NULL || parent->change != MAILBOX_MAP_RENAMED)
			continue;
		entry->dest = t_strconcat(parent->dest, p, NULL);
		entry->change = MAILBOX_MAP_RENAMED;
		entry->reason = t_strdup_printf("it is below %s, which becomes "
			"%s", parent->remote_name, parent->dest);
		return;
	}
}

static int
check_inbox(const struct mailbox_map_entry *entry, const char **error_r)
{
	if (entry->dest == NULL || entry->change != MAILBOX_MAP_RENAMED)
		return 0;
	if (entry->is_inbox) {
		*error_r = t_strdup_printf("the INBOX stays INBOX: %s",
					   entry->reason);
		return -1;
	}
	if (strcasecmp(entry->dest, "INBOX") == 0) {
		*error_r = t_strdup_printf("%s cannot become the INBOX: %s",
					   entry->remote_name, entry->reason);
		return -1;
	}
	return 0;
}

/* Two mailboxes want one name. Which of them has less right to it? */
static struct mailbox_map_entry *
find_loser(struct mailbox_map_entry *first, struct mailbox_map_entry *second)
{
	if (first->noselect != second->noselect)
		return first->noselect ? first : second;
	return first->is_inbox || strcmp(first->dest, first->remote_name) == 0 ||
		strcmp(second->dest, second->remote_name) != 0 ? second : first;
}

static int
take_name(struct apply *apply, struct mailbox_map_entry *entry,
	  const char **error_r)
{
	struct mailbox_map_entry *other, *loser;

	other = hash_table_lookup(apply->by_dest, entry->dest);
	if (other == NULL) {
		hash_table_insert(apply->by_dest, entry->dest, entry);
		return 0;
	}
	loser = find_loser(other, entry);
	if (loser->noselect) {
		loser->change = MAILBOX_MAP_MERGED;
		loser->reason = "it has no mails, and another mailbox has its "
			"name";
	} else if (entry->change == MAILBOX_MAP_RENAMED ||
		   other->change == MAILBOX_MAP_RENAMED) {
		*error_r = t_strdup_printf("%s and %s would both become %s: %s",
			other->remote_name, entry->remote_name, entry->dest,
			entry->change == MAILBOX_MAP_RENAMED ? entry->reason :
			other->reason);
		return -1;
	} else {
		loser->change = MAILBOX_MAP_TAKEN;
		loser->reason = t_strdup_printf("%s has the name %s",
			(loser == entry ? other : entry)->remote_name,
			loser->dest);
	}
	if (loser == other)
		hash_table_update(apply->by_dest, entry->dest, entry);
	if (loser->noselect)
		loser->dest = NULL;
	else {
		loser->dest = mailbox_name_differ(loser->dest,
						  loser->remote_name);
		hash_table_insert(apply->by_dest, loser->dest, loser);
	}
	return 0;
}

static int
apply_all(struct apply *apply, const struct mailbox_map_use *uses,
	  unsigned int uses_count, ARRAY_TYPE(mailbox_map_entry) *entries,
	  const char **error_r)
{
	struct mailbox_map_entry *entry;

	array_sort(entries, entry_cmp);
	array_foreach_modifiable(entries, entry) {
		apply_rules(apply, entry);
		if (check_inbox(entry, error_r) < 0)
			return -1;
		hash_table_update(apply->by_name, entry->name, entry);
	}
	apply_uses(apply, uses, uses_count, entries);
	array_foreach_modifiable(entries, entry)
		apply_parents(apply, entry);
	array_foreach_modifiable(entries, entry) {
		if (entry->dest != NULL && take_name(apply, entry, error_r) < 0)
			return -1;
	}
	return 0;
}

int mailbox_map_apply(const struct mailbox_map *map,
		      const struct mailbox_map_use *uses, unsigned int uses_count,
		      char separator, ARRAY_TYPE(mailbox_map_entry) *entries,
		      const char **error_r)
{
	struct apply apply = { .map = map, .separator = separator };
	int ret;

	hash_table_create(&apply.by_name, default_pool, 0, str_hash, strcmp);
	hash_table_create(&apply.by_dest, default_pool, 0, str_hash, strcmp);
	ret = apply_all(&apply, uses, uses_count, entries, error_r);
	hash_table_destroy(&apply.by_name);
	hash_table_destroy(&apply.by_dest);
	return ret;
}
