/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "imap-arg.h"
#include "imap-utf7.h"
#include "str.h"
#include "gmail-label-keyword.h"
#include "gmail-label.h"

/* Gmail's own places: their attribute in LIST, and their label. */
static const struct {
	enum gmail_place place;
	const char *mailbox;
	const char *label;
} gmail_places[] = {
	{ GMAIL_PLACE_INBOX, "INBOX", "\\Inbox" },
	{ GMAIL_PLACE_ALL, "\\All", NULL },
	{ GMAIL_PLACE_SENT, "\\Sent", "\\Sent" },
	{ GMAIL_PLACE_DRAFTS, "\\Drafts", "\\Draft" },
	{ GMAIL_PLACE_SPAM, "\\Junk", "\\Spam" },
	{ GMAIL_PLACE_TRASH, "\\Trash", "\\Trash" },
	{ GMAIL_PLACE_STARRED, "\\Flagged", "\\Starred" },
	{ GMAIL_PLACE_IMPORTANT, "\\Important", "\\Important" },
};

enum gmail_label_policy gmail_label_policy_parse(const char *value)
{
	if (strcmp(value, "keywords") == 0)
		return GMAIL_LABELS_KEYWORDS;
	if (strcmp(value, "both") == 0)
		return GMAIL_LABELS_BOTH;
	return GMAIL_LABELS_FOLDERS;
}

const char *gmail_system_prefix(const char *all_name)
{
	const char *sep = all_name == NULL ? NULL : strrchr(all_name, '/');

	return sep == NULL ? NULL : t_strdup_until(all_name, sep + 1);
}

static bool name_is_below(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	/* the prefix's own folder, without the separator, counts too */
	return strncmp(name, prefix, len) == 0 ||
		(strlen(name) == len - 1 && strncmp(name, prefix, len - 1) == 0);
}

static bool name_is_gmails_own(const char *name, const char *system_prefix)
{
	if (system_prefix != NULL)
		return name_is_below(name, system_prefix);
	return name_is_below(name, "[Gmail]/") ||
		name_is_below(name, "[Google Mail]/");
}

enum gmail_place gmail_place_find(const char *name, const char *special_use,
				  const char *system_prefix)
{
	unsigned int i;

	if (strcasecmp(name, "INBOX") == 0)
		return GMAIL_PLACE_INBOX;
	for (i = 0; i < N_ELEMENTS(gmail_places); i++) {
		if (strcasecmp(special_use, gmail_places[i].mailbox) == 0)
			return gmail_places[i].place;
	}
	return name_is_gmails_own(name, system_prefix) ?
		GMAIL_PLACE_OTHER : GMAIL_PLACE_LABEL;
}

const char *gmail_place_mailbox(enum gmail_place place, const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(gmail_places); i++) {
		if (gmail_places[i].place == place)
			return gmail_places[i].mailbox;
	}
	return name;
}

bool gmail_mailbox_is_migrated(enum gmail_place place, const char *name,
			       enum gmail_label_policy policy,
			       struct gmail_keywords *keywords,
			       const char **reason_r)
{
	const struct gmail_keyword *keyword;

	if (place == GMAIL_PLACE_LABEL && policy == GMAIL_LABELS_KEYWORDS) {
		keyword = gmail_keywords_get(keywords, name);
		if (keyword->keyword == NULL) {
			*reason_r = keyword->reason;
			return TRUE;
		}
	}
	return gmail_place_is_migrated(place, policy, reason_r);
}

bool gmail_place_is_migrated(enum gmail_place place,
			     enum gmail_label_policy policy,
			     const char **reason_r)
{
	if (policy != GMAIL_LABELS_KEYWORDS) {
		*reason_r = "every folder is migrated";
		return TRUE;
	}
	switch (place) {
	case GMAIL_PLACE_LABEL:
		*reason_r = "its messages have the label as a keyword";
		return FALSE;
	case GMAIL_PLACE_STARRED:
		*reason_r = "its messages have the flag \\Flagged";
		return FALSE;
	case GMAIL_PLACE_IMPORTANT:
		*reason_r = "its messages have the keyword "
			GMAIL_KEYWORD_IMPORTANT;
		return FALSE;
	case GMAIL_PLACE_INBOX:
	case GMAIL_PLACE_ALL:
	case GMAIL_PLACE_SENT:
	case GMAIL_PLACE_DRAFTS:
	case GMAIL_PLACE_SPAM:
	case GMAIL_PLACE_TRASH:
		*reason_r = "one of Gmail's own folders";
		return TRUE;
	case GMAIL_PLACE_OTHER:
		/* chats are not in All Mail */
		*reason_r = "no other folder is known to have its messages";
		return TRUE;
	}
	i_unreached();
}

static void gmail_label_init(struct gmail_label *label_r, const char *imap_name,
			     pool_t pool)
{
	string_t *name = t_str_new(64);

	i_zero(label_r);
	label_r->imap_name = p_strdup(pool, imap_name);
	label_r->system = imap_name[0] == '\\';
	if (label_r->system || imap_utf7_to_utf8(imap_name, name) < 0)
		label_r->name = label_r->imap_name;
	else
		label_r->name = p_strdup(pool, str_c(name));
}

int gmail_labels_parse(const struct imap_arg *arg, pool_t pool,
		       ARRAY_TYPE(gmail_label) *labels_r)
{
	const struct imap_arg *list;
	struct gmail_label label;
	const char *name;

	p_array_init(labels_r, pool, 4);
	if (!imap_arg_get_list(arg, &list))
		return -1;
	for (; !IMAP_ARG_IS_EOL(list); list++) {
		/* gmail-nil-label: a label that is called NIL comes as an atom */
		if (list->type == IMAP_ARG_NIL)
			name = "NIL";
		else if (!imap_arg_get_astring(list, &name))
			name = NULL;
		if (name != NULL && *name != '\0') {
			gmail_label_init(&label, name, pool);
			array_push_back(labels_r, &label);
		}
	}
	return 0;
}

static void
gmail_system_label_decide(const char *name, enum gmail_label_policy policy,
			  struct gmail_label_decision *decision_r)
{
	const char *reason;
	unsigned int i;

	if (strcasecmp(name, "\\Starred") == 0)
		decision_r->flags = MAIL_FLAGGED;
	else if (strcasecmp(name, "\\Important") == 0)
		decision_r->keyword = GMAIL_KEYWORD_IMPORTANT;
	else if (strcasecmp(name, "\\Muted") == 0) {
		/* no folder shows it, so it would be lost otherwise */
		decision_r->keyword = GMAIL_KEYWORD_MUTED;
		decision_r->reason = "keyword "GMAIL_KEYWORD_MUTED;
		return;
	}

	for (i = 0; i < N_ELEMENTS(gmail_places); i++) {
		if (gmail_places[i].label != NULL &&
		    strcasecmp(name, gmail_places[i].label) == 0)
			break;
	}
	if (i == N_ELEMENTS(gmail_places)) {
		decision_r->reason = "ignored: not a label of Gmail's that is known";
		return;
	}
	if (gmail_place_is_migrated(gmail_places[i].place, policy, &reason))
		decision_r->mailbox = gmail_places[i].mailbox;
	if (decision_r->flags == 0 && decision_r->keyword == NULL) {
		decision_r->reason = t_strdup_printf("folder %s",
						     gmail_places[i].mailbox);
	} else {
		decision_r->reason = t_strdup_printf("%s%s%s",
			decision_r->flags != 0 ? "flag \\Flagged" : "keyword ",
			decision_r->flags != 0 ? "" : decision_r->keyword,
			decision_r->mailbox == NULL ? "" : " and its folder");
	}
}

void gmail_label_decide(const struct gmail_label *label,
			enum gmail_label_policy policy,
			struct gmail_keywords *keywords,
			struct gmail_label_decision *decision_r)
{
	const struct gmail_keyword *keyword;

	i_zero(decision_r);
	if (label->system) {
		gmail_system_label_decide(label->name, policy, decision_r);
		return;
	}
	if (policy == GMAIL_LABELS_FOLDERS) {
		decision_r->mailbox = label->name;
		decision_r->reason = "folder";
		return;
	}
	keyword = gmail_keywords_get(keywords, label->name);
	if (keyword->keyword == NULL) {
		decision_r->mailbox = label->name;
		decision_r->reason = t_strdup_printf("folder (%s)",
						     keyword->reason);
		return;
	}
	decision_r->keyword = keyword->keyword;
	if (policy == GMAIL_LABELS_BOTH)
		decision_r->mailbox = label->name;
	decision_r->reason = t_strdup_printf("%skeyword %s (%s)",
		policy == GMAIL_LABELS_BOTH ? "folder and " : "",
		keyword->keyword, keyword->reason);
}

static void
add_unique(ARRAY_TYPE(const_string) *list, const char *str)
{
	const char *other;

	array_foreach_elem(list, other) {
		if (strcmp(other, str) == 0)
			return;
	}
	array_push_back(list, &str);
}

/* The label that stands for a place, as if the server had sent it. */
static bool
gmail_place_get_label(enum gmail_place place, const char *name,
		      struct gmail_label *label_r)
{
	unsigned int i;

	i_zero(label_r);
	if (place == GMAIL_PLACE_LABEL) {
		label_r->name = label_r->imap_name = name;
		return TRUE;
	}
	for (i = 0; i < N_ELEMENTS(gmail_places); i++) {
		if (gmail_places[i].place == place &&
		    gmail_places[i].label != NULL) {
			label_r->name = gmail_places[i].label;
			label_r->imap_name = label_r->name;
			label_r->system = TRUE;
			return TRUE;
		}
	}
	return FALSE;
}

const char *gmail_place_label(enum gmail_place place, const char *name)
{
	struct gmail_label label;

	return gmail_place_get_label(place, name, &label) ? label.name :
		gmail_place_mailbox(place, name);
}

static void
gmail_mapping_add(struct gmail_mapping *mapping, string_t *reason,
		  const struct gmail_label *label,
		  enum gmail_label_policy policy,
		  struct gmail_keywords *keywords, bool hidden)
{
	struct gmail_label_decision decision;

	gmail_label_decide(label, policy, keywords, &decision);
	if (decision.mailbox != NULL && !hidden)
		add_unique(&mapping->mailboxes, decision.mailbox);
	mapping->flags |= decision.flags;
	if (decision.keyword != NULL)
		add_unique(&mapping->keywords, decision.keyword);
	if (str_len(reason) > 0)
		str_append(reason, "; ");
	str_printfa(reason, "%s: %s", label->name, decision.reason);
}

static bool has_labels(const struct gmail_message *msg)
{
	unsigned int i;

	for (i = 0; i < msg->labels_count; i++) {
		if (!msg->labels[i].system ||
		    strcasecmp(msg->labels[i].name, "\\Muted") != 0)
			return TRUE;
	}
	return FALSE;
}

void gmail_message_map(const struct gmail_message *msg,
		       enum gmail_label_policy policy,
		       struct gmail_keywords *keywords,
		       struct gmail_mapping *mapping_r)
{
	/* Spam and deleted messages are in those folders alone. They keep their
	   labels, but no other folder shows them. */
	bool hidden = msg->place == GMAIL_PLACE_SPAM ||
		msg->place == GMAIL_PLACE_TRASH;
	string_t *reason = t_str_new(128);
	struct gmail_label label;
	unsigned int i;

	i_zero(mapping_r);
	t_array_init(&mapping_r->mailboxes, 8);
	t_array_init(&mapping_r->keywords, 8);

	if (hidden || msg->place == GMAIL_PLACE_OTHER) {
		add_unique(&mapping_r->mailboxes,
			gmail_place_mailbox(msg->place, msg->place_name));
		str_printfa(reason, "only in %s", array_idx_elem(
			&mapping_r->mailboxes, 0));
	} else {
		add_unique(&mapping_r->mailboxes, "\\All");
		if (gmail_place_get_label(msg->place, msg->place_name, &label)) {
			gmail_mapping_add(mapping_r, reason, &label, policy,
					  keywords, FALSE);
		}
	}
	for (i = 0; i < msg->labels_count; i++) {
		gmail_mapping_add(mapping_r, reason, &msg->labels[i], policy,
				  keywords, hidden);
	}
	if (msg->place == GMAIL_PLACE_ALL && has_labels(msg))
		add_unique(&mapping_r->keywords, GMAIL_KEYWORD_HAVE_LABELS);
	mapping_r->reason = str_len(reason) > 0 ? str_c(reason) :
		"archived: no label";
}
