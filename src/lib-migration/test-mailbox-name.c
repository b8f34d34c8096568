/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "mailbox-name.h"
#include "check-suite.h"

enum dest {
	/* sdbox, mdbox */
	DBOX = 0x01,
	/* the same, clients see "." between levels */
	DOTTED = 0x02,
	MAILDIRPP = 0x04,
	/* LAYOUT=fs */
	MAILDIRFS = 0x08,
	ALL = 0x0f
};

static const char *const dbox_names[] = { "dbox-Mails", NULL };
static const char *const maildir_names[] = { "cur", "new", "tmp", NULL };

static const struct {
	enum dest dest;
	struct mailbox_name_rules rules;
} dests[] = {
	{ DBOX, { .separator = '/', .storage_separator = '/',
		  .reserved = dbox_names } },
	{ DOTTED, { .separator = '.', .storage_separator = '/',
		    .reserved = dbox_names } },
	{ MAILDIRPP, { .separator = '/', .storage_separator = '.',
		       .one_file_name = TRUE } },
	{ MAILDIRFS, { .separator = '/', .storage_separator = '/',
		       .reserved = maildir_names, .root_has_files = TRUE } },
};

static const struct {
	/* as the server sends it, and its separator */
	const char *remote_name;
	char remote_separator;
	/* where it is called so */
	enum dest dests;
	const char *name;
} names[] = {
	{ "Sent", '.', ALL, "Sent" },
	{ "Sent Items", '.', ALL, "Sent Items" },
	{ "Archive.2024", '.', DBOX | MAILDIRPP | MAILDIRFS, "Archive/2024" },
	{ "Archive/2024", '/', DBOX | MAILDIRPP | MAILDIRFS, "Archive/2024" },
	{ "Archive.2024", '.', DOTTED, "Archive.2024" },
	{ "Archive/2024", '/', DOTTED, "Archive.2024" },
	{ "a.b.c.d.e.f.g.h.i.j.k.l", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "a/b/c/d/e/f/g/h/i/j/k/l" },
	{ "a/b/c/d/e/f/g/h/i/j/k/l", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "a/b/c/d/e/f/g/h/i/j/k/l" },
	{ "a.b.c.d.e.f.g.h.i.j.k.l", '.', DOTTED, "a.b.c.d.e.f.g.h.i.j.k.l" },
	{ "a/b/c/d/e/f/g/h/i/j/k/l", '/', DOTTED, "a.b.c.d.e.f.g.h.i.j.k.l" },
	{ "~x", '.', ALL, "=7Ex" },
	{ "x~y", '.', ALL, "x~y" },
	{ "a.~x", '.', DBOX | MAILDIRPP | MAILDIRFS, "a/~x" },
	{ "a/~x", '/', DBOX | MAILDIRPP | MAILDIRFS, "a/~x" },
	{ "a.~x", '.', DOTTED, "a.~x" },
	{ "a/~x", '/', DOTTED, "a.~x" },
	{ "~", '.', ALL, "=7E" },
	{ "50% off", '.', ALL, "50% off" },
	{ "%41", '.', ALL, "%41" },
	{ "pct%", '.', ALL, "pct%" },
	{ "with.dot", '/', DBOX | MAILDIRFS, "with.dot" },
	{ "with.dot", '/', MAILDIRPP | DOTTED, "with=2Edot" },
	{ ".hidden", '/', DBOX | MAILDIRFS, ".hidden" },
	{ ".hidden", '/', MAILDIRPP | DOTTED, "=2Ehidden" },
	{ "trailing.", '/', DBOX | MAILDIRFS, "trailing." },
	{ "trailing.", '/', MAILDIRPP | DOTTED, "trailing=2E" },
	{ ".", '/', ALL, "=2E" },
	{ "..", '/', DBOX | MAILDIRFS, "=2E." },
	{ "..", '/', MAILDIRPP | DOTTED, "=2E=2E" },
	{ "...", '/', DBOX | MAILDIRFS, "..." },
	{ "...", '/', MAILDIRPP | DOTTED, "=2E=2E=2E" },
	{ "a/..", '/', DBOX | MAILDIRFS, "a/=2E." },
	{ "a/..", '/', MAILDIRPP, "a/=2E=2E" },
	{ "a/..", '/', DOTTED, "a.=2E=2E" },
	{ "a/./b", '/', DBOX | MAILDIRPP | MAILDIRFS, "a/=2E/b" },
	{ "a/./b", '/', DOTTED, "a.=2E.b" },
	{ "sl/ash", '.', ALL, "sl=2Fash" },
	{ "/root", '.', ALL, "=2Froot" },
	{ "back\\slash", '.', ALL, "back\\slash" },
	{ "star*", '.', ALL, "star*" },
	{ "qu\"ote", '.', ALL, "qu\"ote" },
	{ "^caret", '.', ALL, "^caret" },
	{ "amp&-ersand", '.', ALL, "amp&ersand" },
	{ "&-", '.', ALL, "&" },
	{ "(paren)", '.', ALL, "(paren)" },
	{ "{5}", '.', ALL, "{5}" },
	{ "[Mailbox]", '.', ALL, "[Mailbox]" },
	{ "a]", '.', ALL, "a]" },
	{ " leading", '.', ALL, " leading" },
	{ "trailing ", '.', ALL, "trailing " },
	{ "  ", '.', ALL, "  " },
	{ "in  ner", '.', ALL, "in  ner" },
	{ "tab&AAk-here", '.', ALL, "tab=09here" },
	{ "new&AAo-line", '.', ALL, "new=0Aline" },
	{ "&AAE-", '.', ALL, "=01" },
	{ "del&AH8-", '.', ALL, "del=7F" },
	{ "a=b", '.', ALL, "a=b" },
	{ "a=41b", '.', ALL, "a=3D41b" },
	{ "==41", '.', ALL, "=3D=3D41" },
	{ "=2F", '.', ALL, "=3D2F" },
	{ "x=~0123456789abcdef", '.', ALL, "x=3D~0123456789abcdef" },
	{ "=~short", '.', ALL, "=~short" },
	{ "INBOX", '.', ALL, "=49NBOX" },
	{ "inbox", '.', ALL, "=69nbox" },
	{ "InBox.x", '.', DBOX | MAILDIRPP | MAILDIRFS, "InBox/x" },
	{ "InBox/x", '/', DBOX | MAILDIRPP | MAILDIRFS, "InBox/x" },
	{ "InBox.x", '.', DOTTED, "InBox.x" },
	{ "InBox/x", '/', DOTTED, "InBox.x" },
	{ "INBOX.Sent", '.', DBOX | MAILDIRPP | MAILDIRFS, "INBOX/Sent" },
	{ "INBOX/Sent", '/', DBOX | MAILDIRPP | MAILDIRFS, "INBOX/Sent" },
	{ "INBOX.Sent", '.', DOTTED, "INBOX.Sent" },
	{ "INBOX/Sent", '/', DOTTED, "INBOX.Sent" },
	{ "a.INBOX", '.', DBOX | MAILDIRPP | MAILDIRFS, "a/INBOX" },
	{ "a/INBOX", '/', DBOX | MAILDIRPP | MAILDIRFS, "a/INBOX" },
	{ "a.INBOX", '.', DOTTED, "a.INBOX" },
	{ "a/INBOX", '/', DOTTED, "a.INBOX" },
	{ "INBOX2", '.', ALL, "INBOX2" },
	{ "cur", '.', DBOX | MAILDIRPP | DOTTED, "cur" },
	{ "cur", '.', MAILDIRFS, "=63ur" },
	{ "new", '.', DBOX | MAILDIRPP | DOTTED, "new" },
	{ "new", '.', MAILDIRFS, "=6Eew" },
	{ "tmp", '.', DBOX | MAILDIRPP | DOTTED, "tmp" },
	{ "tmp", '.', MAILDIRFS, "=74mp" },
	{ "a.cur", '.', DBOX | MAILDIRPP, "a/cur" },
	{ "a/cur", '/', DBOX | MAILDIRPP, "a/cur" },
	{ "a.cur", '.', MAILDIRFS, "a/=63ur" },
	{ "a/cur", '/', MAILDIRFS, "a/=63ur" },
	{ "a.cur", '.', DOTTED, "a.cur" },
	{ "a/cur", '/', DOTTED, "a.cur" },
	{ "curl", '.', ALL, "curl" },
	{ "dbox-Mails", '.', DBOX | DOTTED, "=64box-Mails" },
	{ "dbox-Mails", '.', MAILDIRPP | MAILDIRFS, "dbox-Mails" },
	{ "a.dbox-Mails", '.', DBOX, "a/=64box-Mails" },
	{ "a/dbox-Mails", '/', DBOX, "a/=64box-Mails" },
	{ "a.dbox-Mails", '.', MAILDIRPP | MAILDIRFS, "a/dbox-Mails" },
	{ "a/dbox-Mails", '/', MAILDIRPP | MAILDIRFS, "a/dbox-Mails" },
	{ "a.dbox-Mails", '.', DOTTED, "a.=64box-Mails" },
	{ "a/dbox-Mails", '/', DOTTED, "a.=64box-Mails" },
	{ "subscriptions", '.', DBOX | MAILDIRPP | DOTTED, "subscriptions" },
	{ "subscriptions", '.', MAILDIRFS, "=73ubscriptions" },
	{ "dovecot", '.', DBOX | MAILDIRPP | DOTTED, "dovecot" },
	{ "dovecot", '.', MAILDIRFS, "=64ovecot" },
	{ "dovecot.index", '/', DBOX, "dovecot.index" },
	{ "dovecot.index", '/', MAILDIRPP | DOTTED, "dovecot=2Eindex" },
	{ "dovecot.index", '/', MAILDIRFS, "=64ovecot.index" },
	{ "maildirsize", '.', DBOX | MAILDIRPP | DOTTED, "maildirsize" },
	{ "maildirsize", '.', MAILDIRFS, "=6Daildirsize" },
	{ "a.subscriptions", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "a/subscriptions" },
	{ "a/subscriptions", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "a/subscriptions" },
	{ "a.subscriptions", '.', DOTTED, "a.subscriptions" },
	{ "a/subscriptions", '/', DOTTED, "a.subscriptions" },
	{ "courierimapkeywords", '.', DBOX | MAILDIRPP | DOTTED,
	  "courierimapkeywords" },
	{ "courierimapkeywords", '.', MAILDIRFS, "=63ourierimapkeywords" },
	{ "Entw&APw-rfe", '.', ALL, "Entw\xc3\xbcrfe" },
	{ "Gel&APY-schte Elemente", '.', ALL, "Gel\xc3\xb6schte Elemente" },
	{ "&U,BTFw-.&ZeVnLIqe-", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&U,BTFw-/&ZeVnLIqe-", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&U,BTFw-.&ZeVnLIqe-", '.', DOTTED,
	  "\xe5\x8f\xb0\xe5\x8c\x97.\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&U,BTFw-/&ZeVnLIqe-", '/', DOTTED,
	  "\xe5\x8f\xb0\xe5\x8c\x97.\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&AOk-", '.', ALL, "\xc3\xa9" },
	{ "e&AwE-", '.', ALL, "e\xcc\x81" },
	{ "&2D3c5w- mail", '.', ALL, "\xf0\x9f\x93\xa7 mail" },
	{ "&BBcEMAQ,BDgEQQQ4-", '.', ALL,
	  "\xd0\x97\xd0\xb0\xd0\xbf\xd0\xb8\xd1\x81\xd0\xb8" },
	{ "NIL", '.', ALL, "NIL" },
	{ "\"", '.', ALL, "\"" },
	{ "'", '.', ALL, "'" },
	{ "$var", '.', ALL, "$var" },
	{ "`cmd`", '.', ALL, "`cmd`" },
	{ "a:b", '.', ALL, "a:b" },
	{ "a|b", '.', ALL, "a|b" },
	{ "<a>", '.', ALL, "<a>" },
	{ "a;b", '.', ALL, "a;b" },
	{ "a,b", '.', ALL, "a,b" },
	{ "#news", '.', ALL, "#news" },
	{ "!bang", '.', ALL, "!bang" },
	{ "?q", '.', ALL, "?q" },
	{ "@at", '.', ALL, "@at" },
	{ "-dash", '.', ALL, "-dash" },
	{ "_under", '.', ALL, "_under" },
	{ "+plus", '.', ALL, "+plus" },
	{ "Gesendet", '.', ALL, "Gesendet" },
	{ "Gesendete Elemente", '.', ALL, "Gesendete Elemente" },
	{ "Gesendete Objekte", '.', ALL, "Gesendete Objekte" },
	{ "Papierkorb", '.', ALL, "Papierkorb" },
	{ "Postausgang", '.', ALL, "Postausgang" },
	{ "Bo&AO4-te d&IBk-envoi", '.', ALL,
	  "Bo\xc3\xaete d\xe2\x80\x99" "envoi" },
	{ "&AMk-l&AOk-ments envoy&AOk-s", '.', ALL,
	  "\xc3\x89l\xc3\xa9ments envoy\xc3\xa9s" },
	{ "Corbeille", '.', ALL, "Corbeille" },
	{ "Elementos enviados", '.', ALL, "Elementos enviados" },
	{ "Bandeja de salida", '.', ALL, "Bandeja de salida" },
	{ "Posta inviata", '.', ALL, "Posta inviata" },
	{ "Posta indesiderata", '.', ALL, "Posta indesiderata" },
	{ "Itens enviados", '.', ALL, "Itens enviados" },
	{ "Concepten", '.', ALL, "Concepten" },
	{ "Verzonden items", '.', ALL, "Verzonden items" },
	{ "Wys&AUI-ane", '.', ALL, "Wys\xc5\x82" "ane" },
	{ "Kosz", '.', ALL, "Kosz" },
	{ "Odeslan&AOE- po&AWE-ta", '.', ALL, "Odeslan\xc3\xa1 po\xc5\xa1ta" },
	{ "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-", '.', ALL,
	  "\xd0\x9e\xd1\x82\xd0\xbf\xd1\x80\xd0\xb0\xd0\xb2\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xbd\xd1\x8b\xd0\xb5" },
	{ "&BBoEPgRABDcEOAQ9BDA-", '.', ALL,
	  "\xd0\x9a\xd0\xbe\xd1\x80\xd0\xb7\xd0\xb8\xd0\xbd\xd0\xb0" },
	{ "&XfJT0ZABkK5O9g-", '.', ALL,
	  "\xe5\xb7\xb2\xe5\x8f\x91\xe9\x80\x81\xe9\x82\xae\xe4\xbb\xb6" },
	{ "&V4NXPpCuTvY-", '.', ALL,
	  "\xe5\x9e\x83\xe5\x9c\xbe\xe9\x82\xae\xe4\xbb\xb6" },
	{ "&kAFP4W4IMH8-", '.', ALL,
	  "\xe9\x80\x81\xe4\xbf\xa1\xe6\xb8\x88\xe3\x81\xbf" },
	{ "&MFQwf3ux-", '.', ALL, "\xe3\x81\x94\xe3\x81\xbf\xe7\xae\xb1" },
	{ "&vPSwuNO4ycDVaA-", '.', ALL,
	  "\xeb\xb3\xb4\xeb\x82\xb8\xed\x8e\xb8\xec\xa7\x80\xed\x95\xa8" },
	{ "&BicGRAZFBjEGMwZEBik-", '.', ALL,
	  "\xd8\xa7\xd9\x84\xd9\x85\xd8\xb1\xd8\xb3\xd9\x84\xd8\xa9" },
	{ "&BeAF6QXcBdcF1Q-", '.', ALL,
	  "\xd7\xa0\xd7\xa9\xd7\x9c\xd7\x97\xd7\x95" },
	{ "&A6MDxAOsA7sDuAO3A7oDsQO9-", '.', ALL,
	  "\xce\xa3\xcf\x84\xce\xac\xce\xbb\xce\xb8\xce\xb7\xce\xba\xce\xb1\xce\xbd" },
	{ "Skickat", '.', ALL, "Skickat" },
	{ "Slettet post", '.', ALL, "Slettet post" },
	{ "L&AOQ-hetetyt", '.', ALL, "L\xc3\xa4hetetyt" },
	{ "[Gmail]", '.', ALL, "[Gmail]" },
	{ "Deleted Messages", '.', ALL, "Deleted Messages" },
	{ "Junk E-mail", '.', ALL, "Junk E-mail" },
	{ "Sent Messages", '.', ALL, "Sent Messages" },
	{ "Drafts (1)", '.', ALL, "Drafts (1)" },
	{ "100% sure", '.', ALL, "100% sure" },
	{ "~tilde~", '.', ALL, "=7Etilde~" },
	{ "a.b.c", '/', DBOX | MAILDIRFS, "a.b.c" },
	{ "a.b.c", '/', MAILDIRPP | DOTTED, "a=2Eb=2Ec" },
	{ "v1.2", '/', DBOX | MAILDIRFS, "v1.2" },
	{ "v1.2", '/', MAILDIRPP | DOTTED, "v1=2E2" },
	{ "C:\\Temp", '.', ALL, "C:\\Temp" },
	{ "=?UTF-8?Q?x?=", '.', ALL, "=?UTF-8?Q?x?=" },
	{ "=", '.', ALL, "=" },
	{ "==", '.', ALL, "==" },
	{ "===", '.', ALL, "===" },
	{ "a=", '.', ALL, "a=" },
	{ "=A", '.', ALL, "=A" },
	{ "=AB", '.', ALL, "=3DAB" },
	{ "=GG", '.', ALL, "=GG" },
	{ "&+wE-", '.', ALL, "\xef\xac\x81" },
	{ "&AMU-", '.', ALL, "\xc3\x85" },
	{ "A&Awo-", '.', ALL, "A\xcc\x8a" },
	{ "&ATA-", '.', ALL, "\xc4\xb0" },
	{ "&IAs-zero", '.', ALL, "\xe2\x80\x8bzero" },
	{ "&AKA-nbsp", '.', ALL, "\xc2\xa0nbsp" },
	{ "&ICg-line", '.', ALL, "\xe2\x80\xa8line" },
	{ "z&AwADAQ-", '.', ALL, "z\xcc\x80\xcc\x81" },
	{ "&2Dzf9CANJiD+Dw-", '.', ALL,
	  "\xf0\x9f\x8f\xb4\xe2\x80\x8d\xe2\x98\xa0\xef\xb8\x8f" },
	{ "[Gmail].All Mail", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/All Mail" },
	{ "[Gmail]/All Mail", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/All Mail" },
	{ "[Gmail].All Mail", '.', DOTTED, "[Gmail].All Mail" },
	{ "[Gmail]/All Mail", '/', DOTTED, "[Gmail].All Mail" },
	{ "[Gmail].Sent Mail", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/Sent Mail" },
	{ "[Gmail]/Sent Mail", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/Sent Mail" },
	{ "[Gmail].Sent Mail", '.', DOTTED, "[Gmail].Sent Mail" },
	{ "[Gmail]/Sent Mail", '/', DOTTED, "[Gmail].Sent Mail" },
	{ "[Gmail].Alle Nachrichten", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/Alle Nachrichten" },
	{ "[Gmail]/Alle Nachrichten", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/Alle Nachrichten" },
	{ "[Gmail].Alle Nachrichten", '.', DOTTED, "[Gmail].Alle Nachrichten" },
	{ "[Gmail]/Alle Nachrichten", '/', DOTTED, "[Gmail].Alle Nachrichten" },
	{ "[Gmail].Tous les messages", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/Tous les messages" },
	{ "[Gmail]/Tous les messages", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "[Gmail]/Tous les messages" },
	{ "[Gmail].Tous les messages", '.', DOTTED,
	  "[Gmail].Tous les messages" },
	{ "[Gmail]/Tous les messages", '/', DOTTED,
	  "[Gmail].Tous les messages" },
	{ "Archive/a.b", '/', DBOX | MAILDIRFS, "Archive/a.b" },
	{ "Archive/a.b", '/', MAILDIRPP, "Archive/a=2Eb" },
	{ "Archive/a.b", '/', DOTTED, "Archive.a=2Eb" },
	{ "Archive.~x", '.', DBOX | MAILDIRPP | MAILDIRFS, "Archive/~x" },
	{ "Archive/~x", '/', DBOX | MAILDIRPP | MAILDIRFS, "Archive/~x" },
	{ "Archive.~x", '.', DOTTED, "Archive.~x" },
	{ "Archive/~x", '/', DOTTED, "Archive.~x" },
	{ "Archive.cur", '.', DBOX | MAILDIRPP, "Archive/cur" },
	{ "Archive/cur", '/', DBOX | MAILDIRPP, "Archive/cur" },
	{ "Archive.cur", '.', MAILDIRFS, "Archive/=63ur" },
	{ "Archive/cur", '/', MAILDIRFS, "Archive/=63ur" },
	{ "Archive.cur", '.', DOTTED, "Archive.cur" },
	{ "Archive/cur", '/', DOTTED, "Archive.cur" },
	{ "Archive/..", '/', DBOX | MAILDIRFS, "Archive/=2E." },
	{ "Archive/..", '/', MAILDIRPP, "Archive/=2E=2E" },
	{ "Archive/..", '/', DOTTED, "Archive.=2E=2E" },
	{ "Archive.subscriptions", '.', DBOX | MAILDIRPP | MAILDIRFS,
	  "Archive/subscriptions" },
	{ "Archive/subscriptions", '/', DBOX | MAILDIRPP | MAILDIRFS,
	  "Archive/subscriptions" },
	{ "Archive.subscriptions", '.', DOTTED, "Archive.subscriptions" },
	{ "Archive/subscriptions", '/', DOTTED, "Archive.subscriptions" },
	{ "a&b", '.', ALL, "a==26b" },
	{ "&", '.', ALL, "==26" },
	{ "&&-", '.', ALL, "==26==26-" },
	{ "&AGE-", '.', ALL, "==26AGE-" },
	{ "&AGEA-", '.', ALL, "==26AGEA-" },
	{ "x&AOQ", '.', ALL, "x==26AOQ" },
	{ "&AOQ=-", '.', ALL, "==26AOQ=3D-" },
	{ "&AOQ-&APY-", '.', ALL, "==26AOQ-==26APY-" },
	{ "\xc3\xa4", '.', ALL, "==C3==A4" },
	{ "\xff\xfe", '.', ALL, "==FF==FE" },
	{ "a&!!!-=41", '.', ALL, "a==26!!!-=3D41" },
	{ "&2D0-", '.', ALL, "==262D0-" },
	{ "raw\x09tab", '.', ALL, "raw==09tab" },
	{ "&Jjo!", '.', ALL, "==26Jjo!" },
	{ "&AC8-", '.', ALL, "==26AC8-" },
	{ "~&bad", '.', ALL, "=7E==26bad" },
};

START_TEST(test_name)
{
	const char *name, *reason, *back = NULL;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(dests); i++) {
		if ((names[_i].dests & dests[i].dest) == 0)
			continue;
		name = mailbox_name_fit(names[_i].remote_name,
					names[_i].remote_separator, FALSE,
					&dests[i].rules, &reason);
		ck_assert_str_eq(name, names[_i].name);
		ck_assert(mailbox_name_unfit(name, dests[i].rules.separator,
					     names[_i].remote_separator, &back));
		ck_assert_str_eq(back, names[_i].remote_name);
		/* the reason is there if, and only if, something was escaped */
		ck_assert_int_eq(reason != NULL, strchr(name, '=') != NULL &&
			strcmp(name, names[_i].remote_name) != 0);
	}
}
END_TEST

/* All names of the table are different ones at each destination. */
START_TEST(test_name_unique)
{
	const struct mailbox_name_rules *rules = &dests[_i].rules;
	const char *seen[N_ELEMENTS(names)], *reason;
	unsigned int i, j;

	for (i = 0; i < N_ELEMENTS(names); i++) {
		seen[i] = mailbox_name_fit(names[i].remote_name,
					   names[i].remote_separator, FALSE,
					   rules, &reason);
		for (j = 0; j < i; j++) {
			if (names[i].remote_separator ==
			    names[j].remote_separator &&
			    strcmp(names[i].remote_name,
				   names[j].remote_name) != 0)
				ck_assert_str_ne(seen[i], seen[j]);
		}
	}
}
END_TEST

/* ---- further rules ---- */

static const char *const other_namespaces[] = { "Public", "x/y", NULL };

static const struct {
	const char *remote_name;
	bool below_prefix;
	struct mailbox_name_rules rules;
	const char *name;
} special[] = {
	/* what is called INBOX once its prefix is off */
	{ "INBOX", TRUE, { .separator = '/' }, "=49NBOX" },
	{ "inbox", TRUE, { .separator = '/' }, "=69nbox" },
	{ "INBOX.x", TRUE, { .separator = '/' }, "=49NBOX/x" },
	{ "x.INBOX", TRUE, { .separator = '/' }, "x/INBOX" },
	/* names of other namespaces */
	{ "Public", FALSE, { .separator = '/',
			     .other_namespaces = other_namespaces }, "=50ublic" },
	{ "Public.News", FALSE, { .separator = '/',
		.other_namespaces = other_namespaces }, "=50ublic/News" },
	{ "Publicity", FALSE, { .separator = '/',
		.other_namespaces = other_namespaces }, "Publicity" },
	{ "x", FALSE, { .separator = '/',
			.other_namespaces = other_namespaces }, "x" },
	{ "x.y.z", FALSE, { .separator = '/',
			    .other_namespaces = other_namespaces }, "=78/y/z" },
	/* mailbox_list_storage_escape_char */
	{ "~a/b", FALSE, { .separator = '.', .storage_separator = '/',
			   .storage_escapes = TRUE }, "~a/b" },
	{ "cur", FALSE, { .separator = '/', .storage_separator = '.',
			  .storage_escapes = TRUE, .reserved = maildir_names },
	  "cur" },
	{ "a/b", FALSE, { .separator = '/', .storage_separator = '.',
			  .storage_escapes = TRUE }, "a=2Fb" },
	/* 2.4's dsync */
	{ "50% off", FALSE, { .separator = '/', .percent_is_misread = TRUE },
	  "50% off" },
	{ "50%25off", FALSE, { .separator = '/', .percent_is_misread = TRUE },
	  "50=2525off" },
	{ "%4", FALSE, { .separator = '/', .percent_is_misread = TRUE }, "%4" },
	/* levels without a name */
	{ "a..b", FALSE, { .separator = '/' }, "a/=00/b" },
	{ ".a", FALSE, { .separator = '/' }, "=00/a" },
	{ "a.", FALSE, { .separator = '/' }, "a/=00" },
};

START_TEST(test_name_special)
{
	const char *reason, *back = NULL;

	ck_assert_str_eq(mailbox_name_fit(special[_i].remote_name, '.',
					  special[_i].below_prefix,
					  &special[_i].rules, &reason),
			 special[_i].name);
	ck_assert(mailbox_name_unfit(special[_i].name,
				     special[_i].rules.separator, '.', &back));
	ck_assert_str_eq(back, special[_i].remote_name);
}
END_TEST

START_TEST(test_name_no_separator)
{
	const struct mailbox_name_rules rules = { .separator = '/' };
	const char *reason;

	ck_assert_str_eq(mailbox_name_fit("a.b", '\0', FALSE, &rules, &reason),
			 "a.b");
}
END_TEST

/* ---- long names ---- */

static const char *repeat(const char *text, unsigned int count)
{
	string_t *str = t_str_new(1024);

	while (count-- > 0)
		str_append(str, text);
	return str_c(str);
}

static const struct {
	/* this so often, with "." between levels */
	const char *text;
	unsigned int count;
	enum dest dest;
	/* bytes of the name at the destination; 0: as it is */
	unsigned int size;
} lengths[] = {
	{ "x", 254, DBOX, 0 },
	{ "x", 255, DBOX, 0 },
	{ "x", 256, DBOX, 255 },
	{ "x", 4000, DBOX, 255 },
	{ "x", 254, MAILDIRPP, 0 },
	{ "x", 255, MAILDIRPP, 254 },
	{ "abcdefghi.", 25, MAILDIRPP, 0 },
	/* room for a digest */
	{ "abcdefghijklmnopqrstuvwxyz.", 10, MAILDIRPP, 0 },
	{ "0123456789.", 23, DBOX, 0 },
	{ "0123456789.", 250, DBOX, 0 },
	{ "a.", 127, MAILDIRPP, 0 },
	/* 3 bytes each in UTF-8, 2 and 2/3 in modified UTF-7 */
	{ "&U,A-", 1, DBOX, 0 },
};

START_TEST(test_name_length)
{
	const struct mailbox_name_rules *rules = NULL;
	const char *remote, *name, *again, *reason, *back;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(dests); i++) {
		if (dests[i].dest == lengths[_i].dest)
			rules = &dests[i].rules;
	}
	remote = t_strconcat(repeat(lengths[_i].text, lengths[_i].count), "z",
			     NULL);
	/* "z" was one of them */
	remote = lengths[_i].text[1] == '\0' ? remote + 1 : remote;
	name = mailbox_name_fit(remote, '.', FALSE, rules, &reason);
	again = mailbox_name_fit(remote, '.', FALSE, rules, &reason);
	ck_assert_str_eq(name, again);
	if (lengths[_i].size != 0) {
		ck_assert_uint_eq(strlen(name), lengths[_i].size);
		ck_assert_ptr_nonnull(reason);
		ck_assert(!mailbox_name_unfit(name, '/', '.', &back));
		/* the rest counts, too */
		again = mailbox_name_fit(t_strconcat(remote, "2", NULL), '.',
					 FALSE, rules, &reason);
		ck_assert_str_ne(name, again);
	} else if (reason == NULL) {
		ck_assert(mailbox_name_unfit(name, '/', '.', &back));
		ck_assert_str_eq(back, remote);
	}
	ck_assert_uint_le(strlen(name), rules->one_file_name ? 254 : 3000);
}
END_TEST

/* Children stay below their parents, however deep. */
START_TEST(test_name_deep)
{
	const struct mailbox_name_rules *rules = &dests[_i].rules;
	const char *remote, *name, *parent = "", *reason;
	unsigned int i;
	char *seen[60];

	for (i = 0; i < N_ELEMENTS(seen); i++) {
		remote = repeat("0123456789 0123456789 &AOQ-.", i);
		name = mailbox_name_fit(t_strconcat(remote, "last", NULL), '.',
					FALSE, rules, &reason);
		seen[i] = i_strdup(name);
		ck_assert_uint_le(strlen(name),
				  rules->one_file_name ? 254 : 3000);
		if (reason == NULL && i > 0) {
			parent = t_strcut(name, rules->separator);
			ck_assert_str_eq(parent,
				"0123456789 0123456789 \xc3\xa4");
		}
		while (i > 0 && strcmp(seen[i], seen[i-1]) == 0)
			ck_abort_msg("%s twice", seen[i]);
	}
	for (i = 0; i < N_ELEMENTS(seen); i++)
		i_free(seen[i]);
}
END_TEST

static const struct {
	const char *name;
	bool plain;
} plain_names[] = {
	{ "Sent", TRUE },
	{ "Sent Items", TRUE },
	{ "Archive/2024/1", TRUE },
	{ "0123456789012345678901234567890123456789012345678901234567890123456"
	  "789012345678901234567890123456789", TRUE },
	{ "0123456789012345678901234567890123456789012345678901234567890123456"
	  "7890123456789012345678901234567890", FALSE },
	{ "", FALSE },
	{ "/Sent", FALSE },
	{ "Sent/", FALSE },
	{ "Archive//2024", FALSE },
	{ "Archive.2024", FALSE },
	{ "dbox-Mails", FALSE },
	{ "..", FALSE },
	{ "~x", FALSE },
	{ "x\x01", FALSE },
	{ "Entw\xc3\xbcrfe", FALSE },
};

START_TEST(test_name_plain)
{
	ck_assert_msg(mailbox_name_is_plain(plain_names[_i].name, '/') ==
		      plain_names[_i].plain, "%s", plain_names[_i].name);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-name");

	tcase_add_loop_test(tc, test_name, 0, N_ELEMENTS(names));
	tcase_add_loop_test(tc, test_name_unique, 0, N_ELEMENTS(dests));
	tcase_add_loop_test(tc, test_name_special, 0, N_ELEMENTS(special));
	tcase_add_test(tc, test_name_no_separator);
	tcase_add_loop_test(tc, test_name_plain, 0, N_ELEMENTS(plain_names));
	tcase_add_loop_test(tc, test_name_length, 0, N_ELEMENTS(lengths));
	tcase_add_loop_test(tc, test_name_deep, 0, N_ELEMENTS(dests));
	return check_suite_run(s);
}
