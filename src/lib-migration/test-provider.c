/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "provider.h"
#include "check-suite.h"

/* What servers say: greetings, capabilities and IDs as documentation, public
   logs and the servers of the lab show them. */
static const struct {
	enum provider_type type;
	const char *host, *greeting, *capabilities, *id;
} servers[] = {
	{ PROVIDER_GMAIL, "imap.gmail.com",
	  "Gimap ready for requests from 192.0.2.1 d75a77b69052e",
	  "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 "
	  "XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN",
	  "name GImap vendor Google, Inc. support-url "
	  "https://support.google.com/mail" },
	/* a proxy of one's own in front of it */
	{ PROVIDER_GMAIL, "localhost", "proxy ready",
	  "IMAP4rev1 UNSELECT X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE "
	  "CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- "
	  "SPECIAL-USE APPENDLIMIT=35651584", NULL },
	{ PROVIDER_GMAIL, "imap.gmail.com", NULL, NULL, NULL },
	/* imapc-greeting */
	{ PROVIDER_GMAIL, NULL, "Gimap ready for requests from 192.0.2.1 x", NULL,
	  NULL },
	{ PROVIDER_MICROSOFT, "outlook.office365.com",
	  "The Microsoft Exchange IMAP4 service is ready. "
	  "[TQBOADIAUABSADAAMQBDAEEAMAAwADAANwA=]",
	  "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID "
	  "UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE "
	  "CHILDREN IDLE NAMESPACE LITERAL+",
	  "name Microsoft.Exchange.Imap4.Imap4Server version 15.20" },
	{ PROVIDER_MICROSOFT, "imap-mail.outlook.com", NULL, "IMAP4rev1", NULL },
	{ PROVIDER_MICROSOFT, "partner.outlook.cn", NULL, "IMAP4rev1", NULL },
	{ PROVIDER_EXCHANGE, "mail.example.com",
	  "The Microsoft Exchange IMAP4 service is ready.",
	  "IMAP4 IMAP4rev1 AUTH=NTLM AUTH=GSSAPI AUTH=PLAIN UIDPLUS CHILDREN "
	  "IDLE NAMESPACE LITERAL+", NULL },
	{ PROVIDER_EXCHANGE, "mail.example.com", NULL,
	  "IMAP4 IMAP4rev1 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE "
	  "NAMESPACE LITERAL+",
	  "name Microsoft.Exchange.Imap4.Imap4Server version 15.1" },
	{ PROVIDER_EXCHANGE, "mail.example.com",
	  "Microsoft Exchange Server 2003 IMAP4rev1 server version 6.5.7638.1 "
	  "(mail.example.com) ready.", "IMAP4 IMAP4rev1 IDLE LITERAL+", NULL },
	{ PROVIDER_YAHOO, "imap.mail.yahoo.com", "IMAP4rev1 Hello",
	  "IMAP4rev1 ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN "
	  "X-MSG-EXT UNSELECT OBJECTID", NULL },
	{ PROVIDER_YAHOO, "imap.aol.com", NULL,
	  "IMAP4rev1 AUTH=PLAIN AUTH=OAUTHBEARER SASL-IR NAMESPACE ENABLE OBJECTID "
	  "CONDSTORE QRESYNC UIDONLY PARTIAL MESSAGELIMIT=1000", NULL },
	{ PROVIDER_YAHOO, "export.imap.mail.yahoo.com", NULL, NULL, NULL },
	{ PROVIDER_YAHOO, NULL,
	  "IMAP4rev1 imapgate-1.9.5_45.1 imap408.mail.example", NULL, NULL },
	{ PROVIDER_ZIMBRA, "zimbra.example.com",
	  "zimbra.example.com Zimbra IMAP4rev1 server ready",
	  "ACL BINARY CATENATE CHILDREN CONDSTORE ENABLE ESEARCH ESORT "
	  "I18NLEVEL=1 ID IDLE IMAP4rev1 LIST-EXTENDED LIST-STATUS LITERAL+ "
	  "LOGIN-REFERRALS MULTIAPPEND NAMESPACE QRESYNC QUOTA RIGHTS=ektx "
	  "SASL-IR SEARCHRES SORT THREAD=ORDEREDSUBJECT UIDPLUS UNSELECT WITHIN "
	  "XLIST", NULL },
	{ PROVIDER_ZIMBRA, "mail.example.com", "IMAP4 ready", "IMAP4rev1 ID",
	  "NAME Zimbra VERSION 8.8.15_GA_3869 RELEASE 20190918004220 USER "
	  "jane@example.com SERVER 9a8b7c6d" },
	{ PROVIDER_COURIER, "mail.example.com",
	  "* OK [CAPABILITY IMAP4rev1 UIDPLUS CHILDREN NAMESPACE] Courier-IMAP "
	  "ready. Copyright 1998-2021 Double Precision, Inc.  See COPYING for "
	  "distribution information.",
	  "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT "
	  "THREAD=REFERENCES SORT QUOTA IDLE ENABLE UTF8=ACCEPT AUTH=PLAIN ACL "
	  "ACL2=UNION", NULL },
	{ PROVIDER_COURIER, "mail.example.com", "* OK ready",
	  "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE SORT QUOTA ACL ACL2=UNION", NULL },
	{ PROVIDER_CYRUS, "mail.example.com",
	  "mail.example.com Cyrus IMAP 3.6.1-4+deb12u4 server ready",
	  "IMAP4rev1 LITERAL+ ID ENABLE", NULL },
	{ PROVIDER_CYRUS, "mail.example.com", "* OK ready",
	  "IMAP4rev1 LITERAL+ ID ENABLE ACL ANNOTATE-EXPERIMENT-1 BINARY CATENATE "
	  "CHILDREN CONDSTORE CREATE-SPECIAL-USE ESEARCH ESORT LIST-EXTENDED "
	  "LIST-MYRIGHTS LIST-STATUS MAILBOX-REFERRALS METADATA MOVE MULTIAPPEND "
	  "NAMESPACE OBJECTID PREVIEW QRESYNC QUOTA SAVEDATE X-CREATEDMODSEQ",
	  NULL },
	{ PROVIDER_CYRUS, NULL, NULL, "IMAP4rev1 ID",
	  "name Cyrus IMAPD version 3.6.1 vendor Project Cyrus" },
	{ PROVIDER_DOVECOT, "mail.example.com", "Dovecot (Debian) ready.",
	  "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN",
	  NULL },
	{ PROVIDER_DOVECOT, "mail.example.com", "* OK ready",
	  "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY "
	  "THREAD=REFERENCES THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND "
	  "URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS "
	  "LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES "
	  "WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY "
	  "PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY "
	  "SPECIAL-USE", NULL },
	{ PROVIDER_DOVECOT, "mail.example.com", "ready", "IMAP4rev1 ID",
	  "name Dovecot" },
	{ PROVIDER_ORACLE, "mail.example.com",
	  "Messaging Multiplexor (Sun Java(tm) System Messaging Server 7.2-7.02 "
	  "(built Apr 16 2009))",
	  "IMAP4 IMAP4rev1 ACL QUOTA LITERAL+ NAMESPACE UIDPLUS CHILDREN BINARY "
	  "UNSELECT SORT LANGUAGE IDLE XSENDER X-NETSCAPE XSERVERINFO X-SUN-SORT "
	  "X-SUN-IMAP X-ANNOTATEMORE X-UNAUTHENTICATE XUM1 AUTH=PLAIN", NULL },
	{ PROVIDER_ORACLE, "mail.example.com",
	  "mail.example.com IMAP4 service (Oracle Communications Messaging Server "
	  "8.0.2.4.20190812 64bit (built Aug 12 2019))", "IMAP4rev1", NULL },
	{ PROVIDER_DOMINO, "mail.example.com",
	  "Domino IMAP4 Server Release 10.0.1FP3 ready Wed, 30 Oct 2019 09:28:06 "
	  "+0100", "IMAP4rev1 AUTH=PLAIN LITERAL+ NAMESPACE QUOTA UIDPLUS", NULL },
	{ PROVIDER_GENERIC, "mail.example.com", "IMAP4rev1 server ready",
	  "IMAP4rev1 UIDPLUS IDLE", NULL },
	/* nobody's name inside another name */
	{ PROVIDER_GENERIC, "notoutlook.example", "IMAP ready", "IMAP4rev1",
	  NULL },
	{ PROVIDER_GENERIC, "gmail.com.example.org", "IMAP ready",
	  "IMAP4rev1 X-GM-EXT-10", NULL },
	{ PROVIDER_GENERIC, NULL, NULL, NULL, NULL },
};

START_TEST(test_detect)
{
	struct provider_evidence evidence = {
		.host = servers[_i].host,
		.greeting = servers[_i].greeting,
		.capabilities = servers[_i].capabilities,
		.id = servers[_i].id,
	};
	const char *reason = NULL;

	ck_assert_int_eq(provider_detect(&evidence, &reason), servers[_i].type);
	ck_assert_ptr_nonnull(reason);
	ck_assert_str_ne(reason, "");
}
END_TEST

/* What the server says of itself goes before what it is called. */
START_TEST(test_id_first)
{
	struct provider_evidence evidence = {
		.host = "imap.mail.yahoo.com",
		.greeting = "Dovecot ready.",
		.id = "name Cyrus IMAPD",
	};
	const char *reason;

	ck_assert_int_eq(provider_detect(&evidence, &reason), PROVIDER_CYRUS);
	ck_assert_str_eq(reason, "its ID says Cyrus");
}
END_TEST

/* The setting's words are the profiles' names. */
START_TEST(test_names)
{
	const char *const *words = t_strsplit(PROVIDER_SETTING_WORDS, ":");
	const struct provider_profile *profile;
	enum provider_type type;
	unsigned int count = 0;

	ck_assert(!provider_parse("auto", &type));
	ck_assert(!provider_parse("Gmail", &type));
	ck_assert(!provider_parse("", &type));
	for (; *words != NULL; words++) {
		if (strcmp(*words, "auto") == 0)
			continue;
		ck_assert_msg(provider_parse(*words, &type), "%s", *words);
		profile = provider_profile(type);
		ck_assert_str_eq(profile->name, *words);
		ck_assert_int_eq(profile->type, type);
		ck_assert_ptr_nonnull(profile->title);
		ck_assert_ptr_nonnull(profile->exclude);
		count++;
	}
	ck_assert_uint_eq(count, PROVIDER_COUNT);
}
END_TEST

static const char *
described(enum provider_type type, const char *name, const char **setting_r)
{
	ARRAY_TYPE(provider_value) values;
	const struct provider_value *value;

	t_array_init(&values, 8);
	provider_describe(provider_profile(type), &values);
	array_foreach(&values, value) {
		if (strcmp(value->name, name) == 0) {
			*setting_r = value->setting;
			return value->value;
		}
	}
	return NULL;
}

START_TEST(test_describe)
{
	const char *setting;

	ck_assert_str_eq(described(PROVIDER_GMAIL, "provider", &setting), "gmail");
	ck_assert_str_eq(setting, "migration_imapc_provider");
	ck_assert_str_eq(described(PROVIDER_GMAIL, "daily_limit", &setting),
			 "2500000000");
	ck_assert_str_eq(setting, "migration_imapc_daily_limit");
	ck_assert_str_eq(described(PROVIDER_CYRUS, "daily_limit", &setting),
			 "unlimited");
	ck_assert_str_eq(described(PROVIDER_YAHOO, "message_limit", &setting),
			 "1000");
	ck_assert_str_eq(described(PROVIDER_EXCHANGE, "sizes", &setting),
			 "estimated");
	ck_assert_str_eq(described(PROVIDER_GENERIC, "sizes", &setting), "exact");
	/* header-apart */
	ck_assert_str_eq(described(PROVIDER_ZIMBRA, "headers", &setting),
			 "changed");
	ck_assert_str_eq(setting, "migration_imapc_headers");
	ck_assert_ptr_nonnull(strstr(described(PROVIDER_MICROSOFT, "exclude",
					       &setting), "Files"));
	ck_assert_str_eq(setting, "migration_imapc_filter_exclude");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "provider");

	tcase_add_loop_test(tc, test_detect, 0, N_ELEMENTS(servers));
	tcase_add_test(tc, test_id_first);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_describe);
	return check_suite_run(s);
}
