/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "hash.h"
#include "hex-binary.h"
#include "imap-utf7.h"
#include "sha1.h"
#include "str.h"
#include "strescape.h"
#include "unichar.h"
#include "gmail-label-keyword.h"

#define DIGEST_BYTES 4
#define DIGEST_SUFFIX_LENGTH (1 + DIGEST_BYTES * 2)

/* Plain letters for the letters with accents of a block of Unicode: words in
   the order of the characters, "." where there is no plain letter. */
static const char letters_latin[] =
	"A A A A A A AE C E E E E I I I I "	/* U+00C0 */
	"D N O O O O O . O U U U U Y Th ss "	/* U+00D0 */
	"a a a a a a ae c e e e e i i i i "	/* U+00E0 */
	"d n o o o o o . o u u u u y th y "	/* U+00F0 */
	"A a A a A a C c C c C c C c D d "	/* U+0100 */
	"D d E e E e E e E e E e G g G g "	/* U+0110 */
	"G g G g H h H h I i I i I i I i "	/* U+0120 */
	"I i IJ ij J j K k k L l L l L l L "	/* U+0130 */
	"l L l N n N n N n n N n O o O o "	/* U+0140 */
	"O o OE oe R r R r R r S s S s S s "	/* U+0150 */
	"S s T t T t T t U u U u U u U u "	/* U+0160 */
	"U u U u W w Y y Y Z z Z z Z z s "	/* U+0170 */;
static const char letters_latin_additional[] =
	"A a B b B b B b C c D d D d D d "	/* U+1E00 */
	"D d D d E e E e E e E e E e F f "	/* U+1E10 */
	"G g H h H h H h H h H h I i I i "	/* U+1E20 */
	"K k K k K k L l L l L l L l M m "	/* U+1E30 */
	"M m M m N n N n N n N n O o O o "	/* U+1E40 */
	"O o O o P p P p R r R r R r R r "	/* U+1E50 */
	"S s S s S s S s S s T t T t T t "	/* U+1E60 */
	"T t U u U u U u U u U u V v V v "	/* U+1E70 */
	"W w W w W w W w W w X x X x Y y "	/* U+1E80 */
	"Z z Z z Z z h t w y . . . . . . "	/* U+1E90 */
	"A a A a A a A a A a A a A a A a "	/* U+1EA0 */
	"A a A a A a A a E e E e E e E e "	/* U+1EB0 */
	"E e E e E e E e I i I i O o O o "	/* U+1EC0 */
	"O o O o O o O o O o O o O o O o "	/* U+1ED0 */
	"O o O o U u U u U u U u U u U u "	/* U+1EE0 */
	"U u Y y Y y Y y Y y . . . . . . "	/* U+1EF0 */;

static const struct {
	unichar_t first, last;
	const char *letters;
} letter_blocks[] = {
	{ 0x00c0, 0x017f, letters_latin },
	{ 0x0218, 0x021b, "S s T t " },
	{ 0x1e00, 0x1eff, letters_latin_additional },
};

/* Names that mail clients act on. IMAP compares them without case. */
static const char *const keywords_with_meaning[] = {
	"Junk", "NonJunk", "NotJunk", "Forwarded", "MDNSent", "Redirected",
	"Answered", "Deleted", "Draft", "Flagged", "Recent", "Seen", "NIL",
};

struct gmail_keywords {
	pool_t pool;
	unsigned int max_length, max_count, count, left_out;
	/* label -> its keyword */
	HASH_TABLE(const char *, struct gmail_keyword *) labels;
	/* the keywords that are taken, in any case */
	HASH_TABLE(const char *, struct gmail_keyword *) taken;
	/* label -> its keyword in an earlier run */
	HASH_TABLE(const char *, const char *) known;
};

static const char *plain_letter(unichar_t chr)
{
	const char *word, *end;
	unichar_t skip;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(letter_blocks); i++) {
		if (chr < letter_blocks[i].first || chr > letter_blocks[i].last)
			continue;
		word = letter_blocks[i].letters;
		for (skip = chr - letter_blocks[i].first; skip > 0; skip--)
			word = strchr(word, ' ') + 1;
		end = strchr(word, ' ');
		return *word == '.' ? NULL : t_strdup_until(word, end);
	}
	return NULL;
}

/* Dashes, apostrophes and blanks that look like an ASCII character. */
static const char *plain_sign(unichar_t chr)
{
	switch (chr) {
	case 0x00a0: case 0x2009: case 0x202f: case 0x3000:
		return "_";
	case 0x2010: case 0x2011: case 0x2012: case 0x2013: case 0x2014:
		return "-";
	case 0x2018: case 0x2019: case 0x02bc:
		return "'";
	default:
		return NULL;
	}
}

/* an accent that follows its letter, as in names that come from macOS */
static bool is_combining_mark(unichar_t chr)
{
	return chr >= 0x0300 && chr <= 0x036f;
}

/* An atom can hold "[" and "}", but their partners it cannot, and IMAP clients
   stumble over one half. */
static bool is_atom_char(unichar_t chr)
{
	return chr > 0x20 && chr < 0x7f &&
		strchr("()[]{}%*\"\\", (int)chr) == NULL;
}

/* The characters that have no plain spelling are kept back and written
   together, because each run of UTF-7 costs two more characters. */
static void foreign_flush(string_t *dest, string_t *foreign)
{
	if (str_len(foreign) == 0)
		return;
	if (imap_utf8_to_utf7(str_c(foreign), dest) < 0)
		i_unreached(); /* it consists of valid characters */
	str_truncate(foreign, 0);
}

/* The keyword for the first `size` bytes of the label. */
static const char *keyword_spell(const char *label, size_t size)
{
	const unsigned char *p = (const unsigned char *)label;
	const unsigned char *end = p + size;
	string_t *dest = t_str_new(64), *foreign = t_str_new(32);
	const char *plain;
	unichar_t chr;
	int bytes;

	while (p < end) {
		bytes = uni_utf8_get_char_n(p, end - p, &chr);
		if (bytes <= 0) {
			/* a name that was not valid UTF-7 */
			bytes = 1;
			chr = ' ';
		}
		if (is_combining_mark(chr)) {
			p += bytes;
			continue;
		}
		plain = NULL;
		if (chr < 0x80) {
			plain = !is_atom_char(chr) ? "_" :
				t_strdup_printf("%c", (char)chr);
		} else if ((plain = plain_letter(chr)) == NULL)
			plain = plain_sign(chr);

		if (plain == NULL)
			str_append_data(foreign, p, bytes);
		else {
			foreign_flush(dest, foreign);
			str_append(dest, plain);
		}
		p += bytes;
	}
	foreign_flush(dest, foreign);
	return str_c(dest);
}

static bool keyword_has_meaning(const char *keyword)
{
	unsigned int i;

	/* "$" begins the names that are agreed upon among clients */
	if (keyword[0] == '$')
		return TRUE;
	for (i = 0; i < N_ELEMENTS(keywords_with_meaning); i++) {
		if (strcasecmp(keyword, keywords_with_meaning[i]) == 0)
			return TRUE;
	}
	return FALSE;
}

static const char *label_digest(const char *label)
{
	unsigned char digest[SHA1_RESULTLEN];

	sha1_get_digest(label, strlen(label), digest);
	return binary_to_hex(digest, DIGEST_BYTES);
}

/* As much of the label as fits in front of a digest. The label is cut, not
   the keyword, so that a run of UTF-7 stays whole. */
static const char *keyword_with_digest(const char *label, unsigned int max_length)
{
	const char *spelled;
	size_t size = strlen(label);

	for (;;) {
		spelled = keyword_spell(label, size);
		if (keyword_has_meaning(spelled))
			spelled = t_strconcat("_", spelled, NULL);
		if (strlen(spelled) + DIGEST_SUFFIX_LENGTH <= max_length)
			break;
		/* back to the start of the last character */
		do {
			size--;
		} while (size > 0 && ((unsigned char)label[size] & 0xc0) == 0x80);
	}
	return t_strconcat(spelled, "_", label_digest(label), NULL);
}

/* Returns the keyword of an earlier run if it can still be used, else NULL. */
static const char *
gmail_keyword_find_known(struct gmail_keywords *keywords, const char *label)
{
	const char *known = hash_table_lookup(keywords->known, label);

	return known == NULL ||
		hash_table_lookup(keywords->taken, known) != NULL ? NULL : known;
}

/* Finds a keyword that no other label has. Returns it and the reason. */
static const char *
gmail_keyword_make(struct gmail_keywords *keywords, const char *label,
		   const char **reason_r)
{
	struct gmail_keyword *other;
	const char *plain = keyword_spell(label, strlen(label));
	const char *reason = "spelled as the label";

	if (strcmp(plain, label) != 0)
		reason = "a keyword cannot hold all characters of the label";
	if (keyword_has_meaning(plain)) {
		plain = t_strconcat("_", plain, NULL);
		reason = "the label's name alone would mean something to mail clients";
	}
	if (strlen(plain) > keywords->max_length) {
		plain = keyword_with_digest(label, keywords->max_length);
		reason = t_strdup_printf(
			"the label is too long for a keyword of %u characters",
			keywords->max_length);
	}
	other = hash_table_lookup(keywords->taken, plain);
	if (other != NULL) {
		plain = keyword_with_digest(label, keywords->max_length);
		reason = t_strdup_printf(
			"the keyword %s belongs to the label \"%s\"",
			other->keyword, other->label);
	}
	/* Two digests that are equal in their first 32 bits, of labels that are
	   spelled alike: count on. */
	while (hash_table_lookup(keywords->taken, plain) != NULL) {
		label = t_strconcat(label, "+", NULL);
		plain = keyword_with_digest(label, keywords->max_length);
	}
	*reason_r = reason;
	return plain;
}

static struct gmail_keyword *
gmail_keyword_add(struct gmail_keywords *keywords, const char *label)
{
	struct gmail_keyword *keyword;
	const char *name, *reason = "as in the run before";

	keyword = p_new(keywords->pool, struct gmail_keyword, 1);
	keyword->label = p_strdup(keywords->pool, label);
	hash_table_insert(keywords->labels, keyword->label, keyword);
	if (keywords->max_count > 0 && keywords->count >= keywords->max_count) {
		keyword->reason = p_strdup_printf(keywords->pool,
			"there is room for the keywords of %u labels",
			keywords->max_count);
		keywords->left_out++;
		return keyword;
	}
	name = gmail_keyword_find_known(keywords, label);
	if (name == NULL)
		name = gmail_keyword_make(keywords, label, &reason);
	keyword->keyword = p_strdup(keywords->pool, name);
	keyword->reason = p_strdup(keywords->pool, reason);
	hash_table_insert(keywords->taken, keyword->keyword, keyword);
	keywords->count++;
	return keyword;
}

const struct gmail_keyword *
gmail_keywords_get(struct gmail_keywords *keywords, const char *label)
{
	struct gmail_keyword *keyword;

	keyword = hash_table_lookup(keywords->labels, label);
	if (keyword != NULL)
		return keyword;
	T_BEGIN {
		keyword = gmail_keyword_add(keywords, label);
	} T_END;
	return keyword;
}

/* A keyword as this file makes them, whoever wrote it. */
static bool keyword_is_good(const struct gmail_keywords *keywords,
			    const char *keyword)
{
	return *keyword != '\0' && strlen(keyword) <= keywords->max_length &&
		strcmp(keyword_spell(keyword, strlen(keyword)), keyword) == 0 &&
		!keyword_has_meaning(keyword);
}

static void gmail_keywords_import(struct gmail_keywords *keywords,
				  const char *text)
{
	const char *const *lines, *label, *keyword;

	for (lines = t_strsplit(text, "\n"); *lines != NULL; lines++) {
		label = strchr(*lines, '\t');
		if (label == NULL)
			continue;
		keyword = p_strdup_until(keywords->pool, *lines, label);
		label = p_strdup(keywords->pool,
				 t_str_tabunescape(label + 1));
		if (keyword_is_good(keywords, keyword))
			hash_table_update(keywords->known, label, keyword);
	}
}

struct gmail_keywords *
gmail_keywords_init(const char *const *labels,
		    const struct gmail_keywords_config *config)
{
	struct gmail_keywords *keywords;
	ARRAY_TYPE(const_string) sorted;
	const char *label;
	pool_t pool;

	pool = pool_alloconly_create("gmail keywords", 4096);
	keywords = p_new(pool, struct gmail_keywords, 1);
	keywords->pool = pool;
	keywords->max_length = I_MAX(config->max_length,
				     GMAIL_KEYWORD_MIN_LENGTH);
	keywords->max_count = config->max_count;
	hash_table_create(&keywords->labels, pool, 0, str_hash, strcmp);
	hash_table_create(&keywords->taken, pool, 0, strcase_hash, strcasecmp);
	hash_table_create(&keywords->known, pool, 0, str_hash, strcmp);
	if (config->known != NULL) T_BEGIN {
		gmail_keywords_import(keywords, config->known);
	} T_END;

	t_array_init(&sorted, 64);
	for (; *labels != NULL; labels++)
		array_push_back(&sorted, labels);
	array_sort(&sorted, i_strcmp_p);
	array_foreach_elem(&sorted, label) {
		if (gmail_keyword_find_known(keywords, label) != NULL)
			(void)gmail_keywords_get(keywords, label);
	}
	/* first those that need no change */
	array_foreach_elem(&sorted, label) T_BEGIN {
		if (strcmp(keyword_spell(label, strlen(label)), label) == 0)
			(void)gmail_keywords_get(keywords, label);
	} T_END;
	array_foreach_elem(&sorted, label)
		(void)gmail_keywords_get(keywords, label);
	return keywords;
}

void gmail_keywords_deinit(struct gmail_keywords **_keywords)
{
	struct gmail_keywords *keywords = *_keywords;

	if (keywords == NULL)
		return;
	*_keywords = NULL;
	hash_table_destroy(&keywords->labels);
	hash_table_destroy(&keywords->taken);
	hash_table_destroy(&keywords->known);
	pool_unref(&keywords->pool);
}

static int gmail_keyword_cmp(const struct gmail_keyword *k1,
			     const struct gmail_keyword *k2)
{
	return strcmp(k1->label, k2->label);
}

void gmail_keywords_get_all(struct gmail_keywords *keywords,
			    ARRAY_TYPE(gmail_keyword) *list_r)
{
	struct hash_iterate_context *iter;
	struct gmail_keyword *keyword;
	const char *label;

	t_array_init(list_r, 64);
	iter = hash_table_iterate_init(keywords->labels);
	while (hash_table_iterate(iter, keywords->labels, &label, &keyword))
		array_push_back(list_r, keyword);
	hash_table_iterate_deinit(&iter);
	array_sort(list_r, gmail_keyword_cmp);
}

unsigned int gmail_keywords_left_out(const struct gmail_keywords *keywords)
{
	return keywords->left_out;
}

void gmail_keywords_export(struct gmail_keywords *keywords, string_t *dest)
{
	ARRAY_TYPE(gmail_keyword) list;
	const struct gmail_keyword *keyword;

	gmail_keywords_get_all(keywords, &list);
	array_foreach(&list, keyword) {
		if (keyword->keyword != NULL) {
			str_printfa(dest, "%s\t%s\n", keyword->keyword,
				    str_tabescape(keyword->label));
		}
	}
}
