/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROVIDER_H
#define PROVIDER_H

/* Which server or service the source is, and what is known of it that a
   migration has to respect: doc/providers.md. Everything here is a default of a
   setting, nothing is needed for a correct result. */

enum provider_type {
	PROVIDER_GENERIC,
	PROVIDER_GMAIL,
	PROVIDER_MICROSOFT,
	PROVIDER_YAHOO,
	PROVIDER_ZIMBRA,
	PROVIDER_EXCHANGE,
	PROVIDER_COURIER,
	PROVIDER_CYRUS,
	PROVIDER_DOVECOT,
	PROVIDER_ORACLE,
	PROVIDER_DOMINO,

	PROVIDER_COUNT
};

/* The values of migration_imapc_provider, for a setting's table */
#define PROVIDER_SETTING_WORDS \
	"auto:gmail:microsoft:yahoo:zimbra:exchange:courier:cyrus:dovecot:" \
	"oracle:domino:generic"

/* What the source has said of itself. Any of it may be NULL. */
struct provider_evidence {
	/* the name that it is reached by */
	const char *host;
	/* the line of its greeting */
	const char *greeting;
	/* the words of CAPABILITY, separated by blanks */
	const char *capabilities;
	/* what it answers to ID (RFC 2971): names and values, separated by
	   blanks, without quotes */
	const char *id;
};

struct provider_profile {
	enum provider_type type;
	/* the setting's word; the name that people know */
	const char *name, *title;

	/* bytes that its operator lets one account download in 24 hours;
	   0 if no limit is known */
	uint64_t daily_limit;
	/* connections at once: of one account; from one address, whatever the
	   accounts. 0 if no limit is known */
	unsigned int connections, host_connections;
	/* mails that one command may ask for; 0 if no limit is known. What the
	   server announces by MESSAGELIMIT (RFC 9738) goes before it. */
	unsigned int message_limit;
	/* mailboxes that hold no mail: names with the wildcards * and ?,
	   separated by commas, in the names that dsync shows; "" for none */
	const char *exclude;
	/* RFC822.SIZE may be another size than that of the mail sent */
	bool sizes_estimated;
	/* HEADER and HEADER.FIELDS may be other bytes than the header of the
	   whole mail, so that a digest of them proves nothing */
	bool headers_changed;
	/* the answer to STATUS (X-GUID) is the mailbox's GUID */
	bool mailbox_guids;
};

/* One value of a profile, for people: its name, the value, and the setting that
   replaces it. */
struct provider_value {
	const char *name, *value, *setting;
};
ARRAY_DEFINE_TYPE(provider_value, struct provider_value);

/* PROVIDER_GENERIC if nothing speaks for another one. reason_r (data stack) is
   always set, it is the end of a sentence such as "Gmail, because ...". */
enum provider_type provider_detect(const struct provider_evidence *evidence,
				   const char **reason_r);

/* Returns FALSE if the word is none of the setting's, or "auto". */
bool provider_parse(const char *name, enum provider_type *type_r);

/* A constant. */
const struct provider_profile *provider_profile(enum provider_type type);

/* Describes a profile, for `doveadm migration plan` and the report: its values
   (data stack), in an order that stays the same. */
void provider_describe(const struct provider_profile *profile,
		       ARRAY_TYPE(provider_value) *values);

#endif
