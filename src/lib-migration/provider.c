/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "provider.h"

/* Names that Exchange keeps for its own folders: nobody can have a mail folder
   of that name at the top. */
#define EXCHANGE_NO_MAIL \
	"Calendar,Calendar/*,Contacts,Contacts/*,Tasks,Tasks/*,Journal," \
	"Files,Conversation Action Settings"

static const struct provider_profile profiles[PROVIDER_COUNT] = {
	{ .type = PROVIDER_GENERIC, .name = "generic",
	  .title = "an IMAP server", .exclude = "" },
	/* "IMAP download 2500 MB a day", 15 connections */
	{ .type = PROVIDER_GMAIL, .name = "gmail", .title = "Gmail",
	  .daily_limit = 2500ULL * 1000 * 1000, .connections = 15,
	  .exclude = "" },
	{ .type = PROVIDER_MICROSOFT, .name = "microsoft",
	  .title = "Microsoft 365", .connections = 10,
	  .exclude = EXCHANGE_NO_MAIL, .sizes_estimated = TRUE },
	/* it announces MESSAGELIMIT=1000, older gateways do not */
	{ .type = PROVIDER_YAHOO, .name = "yahoo", .title = "Yahoo or AOL",
	  .connections = 5, .message_limit = 1000, .exclude = "",
	  .headers_changed = TRUE },
	{ .type = PROVIDER_ZIMBRA, .name = "zimbra", .title = "Zimbra",
	  .exclude = "Calendar,Contacts,Emailed Contacts,Tasks,Briefcase",
	  .headers_changed = TRUE },
	{ .type = PROVIDER_EXCHANGE, .name = "exchange",
	  .title = "Microsoft Exchange", .connections = 16,
	  .exclude = EXCHANGE_NO_MAIL, .sizes_estimated = TRUE },
	{ .type = PROVIDER_COURIER, .name = "courier", .title = "Courier",
	  .host_connections = 4, .exclude = "" },
	{ .type = PROVIDER_CYRUS, .name = "cyrus", .title = "Cyrus",
	  .exclude = "" },
	{ .type = PROVIDER_DOVECOT, .name = "dovecot", .title = "Dovecot",
	  .connections = 10, .exclude = "", .mailbox_guids = TRUE },
	{ .type = PROVIDER_ORACLE, .name = "oracle",
	  .title = "Oracle Communications Messaging Server",
	  .host_connections = 20, .exclude = "", .headers_changed = TRUE },
	{ .type = PROVIDER_DOMINO, .name = "domino", .title = "Domino",
	  .exclude = "" },
};

enum evidence_kind {
	EVIDENCE_ID,
	EVIDENCE_CAPABILITY,
	EVIDENCE_GREETING,
	EVIDENCE_HOST,
};

static const char *const evidence_names[] = {
	"its ID says", "it has the capability", "its greeting says",
	"its name ends with",
};

/* From what says most to what says least: who runs another name's proxy has its
   own greeting, but passes ID and capabilities on. Words that contain others
   come first. */
static const struct {
	enum evidence_kind kind;
	const char *text;
	enum provider_type type;
} clues[] = {
	{ EVIDENCE_CAPABILITY, "X-GM-EXT-1", PROVIDER_GMAIL },
	{ EVIDENCE_ID, "GImap", PROVIDER_GMAIL },
	{ EVIDENCE_HOST, "outlook.office365.com", PROVIDER_MICROSOFT },
	{ EVIDENCE_HOST, ".outlook.com", PROVIDER_MICROSOFT },
	{ EVIDENCE_HOST, ".outlook.cn", PROVIDER_MICROSOFT },
	{ EVIDENCE_ID, "Microsoft.Exchange", PROVIDER_EXCHANGE },
	{ EVIDENCE_ID, "Yahoo", PROVIDER_YAHOO },
	{ EVIDENCE_ID, "Zimbra", PROVIDER_ZIMBRA },
	{ EVIDENCE_ID, "Courier-IMAP", PROVIDER_COURIER },
	{ EVIDENCE_ID, "Cyrus", PROVIDER_CYRUS },
	{ EVIDENCE_ID, "Dovecot", PROVIDER_DOVECOT },
	{ EVIDENCE_ID, "Messaging Server", PROVIDER_ORACLE },
	{ EVIDENCE_ID, "Domino", PROVIDER_DOMINO },
	{ EVIDENCE_CAPABILITY, "XYMHIGHESTMODSEQ", PROVIDER_YAHOO },
	{ EVIDENCE_CAPABILITY, "X-MSG-EXT", PROVIDER_YAHOO },
	{ EVIDENCE_CAPABILITY, "X-SUN-IMAP", PROVIDER_ORACLE },
	{ EVIDENCE_CAPABILITY, "X-SUN-SORT", PROVIDER_ORACLE },
	{ EVIDENCE_CAPABILITY, "ACL2=UNION", PROVIDER_COURIER },
	{ EVIDENCE_CAPABILITY, "X-CREATEDMODSEQ", PROVIDER_CYRUS },
	{ EVIDENCE_CAPABILITY, "ANNOTATE-EXPERIMENT-1", PROVIDER_CYRUS },
	{ EVIDENCE_CAPABILITY, "SNIPPET=FUZZY", PROVIDER_DOVECOT },
	{ EVIDENCE_CAPABILITY, "PREVIEW=FUZZY", PROVIDER_DOVECOT },
	{ EVIDENCE_GREETING, "Gimap ready", PROVIDER_GMAIL },
	{ EVIDENCE_GREETING, "Microsoft Exchange", PROVIDER_EXCHANGE },
	{ EVIDENCE_GREETING, "imapgate", PROVIDER_YAHOO },
	{ EVIDENCE_GREETING, "Zimbra", PROVIDER_ZIMBRA },
	{ EVIDENCE_GREETING, "Courier-IMAP", PROVIDER_COURIER },
	{ EVIDENCE_GREETING, "Cyrus IMAP", PROVIDER_CYRUS },
	{ EVIDENCE_GREETING, "Dovecot", PROVIDER_DOVECOT },
	{ EVIDENCE_GREETING, "Messaging Server", PROVIDER_ORACLE },
	{ EVIDENCE_GREETING, "Messaging Multiplexor", PROVIDER_ORACLE },
	{ EVIDENCE_GREETING, "Domino IMAP4", PROVIDER_DOMINO },
	{ EVIDENCE_HOST, ".gmail.com", PROVIDER_GMAIL },
	{ EVIDENCE_HOST, ".googlemail.com", PROVIDER_GMAIL },
	{ EVIDENCE_HOST, ".mail.yahoo.com", PROVIDER_YAHOO },
	{ EVIDENCE_HOST, ".aol.com", PROVIDER_YAHOO },
};

static bool has_word(const char *words, const char *word)
{
	return str_array_icase_find(t_strsplit_spaces(words, " "), word);
}

static bool contains(const char *text, const char *part)
{
	return strstr(t_str_lcase(text), t_str_lcase(part)) != NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t text_len = strlen(text), end_len = strlen(end);

	return text_len >= end_len &&
		strcasecmp(text + text_len - end_len, end) == 0;
}

static bool
clue_fits(const struct provider_evidence *evidence, enum evidence_kind kind,
	  const char *text)
{
	switch (kind) {
	case EVIDENCE_ID:
		return evidence->id != NULL && contains(evidence->id, text);
	case EVIDENCE_CAPABILITY:
		return evidence->capabilities != NULL &&
			has_word(evidence->capabilities, text);
	case EVIDENCE_GREETING:
		return evidence->greeting != NULL &&
			contains(evidence->greeting, text);
	case EVIDENCE_HOST:
		return evidence->host != NULL && ends_with(evidence->host, text);
	}
	i_unreached();
}

enum provider_type provider_detect(const struct provider_evidence *evidence,
				   const char **reason_r)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(clues); i++) {
		if (clue_fits(evidence, clues[i].kind, clues[i].text)) {
			*reason_r = t_strdup_printf("%s %s",
				evidence_names[clues[i].kind], clues[i].text);
			return clues[i].type;
		}
	}
	*reason_r = "it says nothing that a known one says";
	return PROVIDER_GENERIC;
}

bool provider_parse(const char *name, enum provider_type *type_r)
{
	enum provider_type type;

	for (type = 0; type < PROVIDER_COUNT; type++) {
		if (strcmp(name, profiles[type].name) == 0) {
			*type_r = type;
			return TRUE;
		}
	}
	return FALSE;
}

const struct provider_profile *provider_profile(enum provider_type type)
{
	i_assert(type < PROVIDER_COUNT);
	return &profiles[type];
}

static void
describe(ARRAY_TYPE(provider_value) *values, const char *name,
	 const char *value, const char *setting)
{
	struct provider_value *item = array_append_space(values);

	item->name = name;
	item->value = value;
	item->setting = setting;
}

static const char *number_or(uint64_t number, const char *none)
{
	return number == 0 ? none : t_strdup_printf("%"PRIu64, number);
}

void provider_describe(const struct provider_profile *profile,
		       ARRAY_TYPE(provider_value) *values)
{
	describe(values, "provider", profile->name, "migration_imapc_provider");
	describe(values, "daily_limit",
		 number_or(profile->daily_limit, "unlimited"),
		 "migration_imapc_daily_limit");
	describe(values, "connections",
		 number_or(profile->connections, "unknown"), "");
	describe(values, "host_connections",
		 number_or(profile->host_connections, "unlimited"),
		 "migration_imapc_max_connections");
	describe(values, "message_limit",
		 number_or(profile->message_limit, "unlimited"),
		 "migration_imapc_message_limit");
	describe(values, "exclude", profile->exclude,
		 "migration_imapc_filter_exclude");
	describe(values, "sizes",
		 profile->sizes_estimated ? "estimated" : "exact",
		 "migration_imapc_sizes");
	describe(values, "headers",
		 profile->headers_changed ? "changed" : "exact",
		 "migration_imapc_headers");
}
