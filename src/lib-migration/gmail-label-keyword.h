/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GMAIL_LABEL_KEYWORD_H
#define GMAIL_LABEL_KEYWORD_H

/* Names of IMAP keywords for Gmail's user labels.

   A keyword is an atom of ASCII letters, without blanks and without most
   brackets and quotes, it is compared without regard to case, and Dovecot
   bounds its length. A label is any text of up to 225 characters. So a
   keyword is made like this:

     - a letter with accents becomes its plain letter, "Müller" -> "Muller";
     - a character that an atom cannot hold becomes "_", "To do" -> "To_do";
     - any other text is written in IMAP's modified UTF-7, the only spelling of
       it that mail clients know to read, "日本" -> "&ZeVnLA-";
     - a name that means something to mail clients, such as "Junk", gets a
       leading "_": a label must not teach anybody's spam filter;
     - if the name is too long, or another label has it already, it ends with
       "_" and eight hex digits of the label's SHA-1.

   The label itself is not lost: the run's report lists label and keyword, and
   the destination's metadata keep them for the next run. A label keeps its
   keyword, whatever labels come and go.

   Some mailbox formats have room for few keywords. Labels for which there is
   no room have none. */

struct gmail_keyword {
	/* the label as a person sees it, UTF-8 */
	const char *label;
	/* NULL if there is no room for it */
	const char *keyword;
	/* how the keyword differs from the label, for logs and reports */
	const char *reason;
};
ARRAY_DEFINE_TYPE(gmail_keyword, struct gmail_keyword);

struct gmail_keywords;

/* Dovecot's default of mail_max_keyword_length. */
#define GMAIL_KEYWORD_DEFAULT_LENGTH 50
/* The shortest limit that leaves room for a digest and something to read.
   A smaller limit is taken as this one. */
#define GMAIL_KEYWORD_MIN_LENGTH 16

struct gmail_keywords_config {
	unsigned int max_length;
	/* labels that have a keyword; 0 = no limit */
	unsigned int max_count;
	/* what gmail_keywords_export() wrote once, or NULL. What is not understood
	   of it, or is no good keyword, is left out. */
	const char *known;
};

/* Gives a keyword to each label. The order of the labels does not matter: a
   keyword that is known from earlier stays; of two new labels that want the
   same keyword, the one that is spelled like it gets it, else the first in byte
   order. */
struct gmail_keywords *
gmail_keywords_init(const char *const *labels,
		    const struct gmail_keywords_config *config);
void gmail_keywords_deinit(struct gmail_keywords **keywords);

/* Returns the label's keyword. A label that was not among the first ones gets
   one now, different from all others. Never NULL; valid until deinit. */
const struct gmail_keyword *
gmail_keywords_get(struct gmail_keywords *keywords, const char *label);

/* Labels that have no keyword because there is no room for more. */
unsigned int gmail_keywords_left_out(const struct gmail_keywords *keywords);

/* Lines of keyword, a tab and label, in the order of labels. */
void gmail_keywords_export(struct gmail_keywords *keywords, string_t *dest);

/* All labels and their keywords, sorted by label (data stack). */
void gmail_keywords_get_all(struct gmail_keywords *keywords,
			    ARRAY_TYPE(gmail_keyword) *list_r);

#endif
