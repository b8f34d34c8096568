/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hex-binary.h"
#include "json-escape.h"
#include "json-walk.h"
#include "str.h"
#include "parity-proof.h"

static const char *const list_names[] = {
	[PARITY_PROOF_UIDS] = "uids",
	[PARITY_PROOF_FLAGS] = "flags",
	[PARITY_PROOF_DATES] = "dates",
	[PARITY_PROOF_SIZES] = "sizes",
	[PARITY_PROOF_TEXTS] = "texts",
	[PARITY_PROOF_ALL] = "all",
};
_Static_assert(N_ELEMENTS(list_names) == PARITY_PROOF_LIST_COUNT,
	       "each list has a name");

/*
 * Digests
 */

/* The mail's line in the list; none if it does not count. */
static void
list_append_mail(string_t *line, enum parity_proof_list list,
		 const struct parity_mail *mail)
{
	if (list == PARITY_PROOF_TEXTS && mail->digest == NULL)
		return;
	str_printfa(line, "%u", mail->uid);
	switch (list) {
	case PARITY_PROOF_UIDS:
		break;
	case PARITY_PROOF_FLAGS:
		str_printfa(line, " %u %s", mail->flags & MAIL_FLAGS_NONRECENT,
			    t_str_lcase(mail->keywords));
		break;
	case PARITY_PROOF_DATES:
		str_printfa(line, " %lld", (long long)mail->received_date);
		break;
	case PARITY_PROOF_SIZES:
		str_printfa(line, " %"PRIuUOFF_T, mail->size);
		break;
	case PARITY_PROOF_TEXTS:
		str_printfa(line, " %s", binary_to_hex(mail->digest->hash,
						sizeof(mail->digest->hash)));
		break;
	case PARITY_PROOF_ALL:
	case PARITY_PROOF_LIST_COUNT:
		i_unreached();
	}
	str_append_c(line, '\n');
}

static const char *
list_digest(const struct parity_mailbox *box, enum parity_proof_list list)
{
	unsigned char result[SHA256_RESULTLEN];
	const struct parity_mail *mail;
	struct sha256_ctx sha;

	if (list == PARITY_PROOF_ALL)
		return parity_mailbox_digest(box);
	sha256_init(&sha);
	array_foreach(&box->mails, mail) T_BEGIN {
		string_t *line = t_str_new(256);

		list_append_mail(line, list, mail);
		sha256_loop(&sha, str_data(line), str_len(line));
	} T_END;
	sha256_result(&sha, result);
	return binary_to_hex(result, sizeof(result));
}

void parity_proof_side_fill(const struct parity_mailbox *box, pool_t pool,
			    struct parity_proof_side *side_r)
{
	const struct parity_mail *mail;
	unsigned int i;

	i_zero(side_r);
	if (!box->exists)
		return;
	side_r->exists = TRUE;
	side_r->mails = array_count(&box->mails);
	side_r->uid_validity = box->uid_validity;
	side_r->uid_next = box->uid_next;
	array_foreach(&box->mails, mail)
		side_r->bytes += mail->size;
	for (i = 0; i < PARITY_PROOF_LIST_COUNT; i++) T_BEGIN {
		side_r->digests[i] = p_strdup(pool, list_digest(box, i));
	} T_END;
}

/*
 * Writing
 */

static void append_string(string_t *dest, const char *text)
{
	if (text == NULL) {
		str_append(dest, "null");
		return;
	}
	str_append_c(dest, '"');
	json_append_escaped(dest, text);
	str_append_c(dest, '"');
}

static const char *bool_text(bool value)
{
	return value ? "true" : "false";
}

static void
append_side(string_t *dest, const char *name,
	    const struct parity_proof_side *side)
{
	unsigned int i;

	str_printfa(dest, "\"%s\": ", name);
	if (!side->exists) {
		str_append(dest, "null");
		return;
	}
	str_printfa(dest, "{\"mails\": %u, \"bytes\": %"PRIu64", "
		    "\"uidvalidity\": %u, \"uidnext\": %u, \"sha256\": {",
		    side->mails, side->bytes, side->uid_validity,
		    side->uid_next);
	for (i = 0; i < PARITY_PROOF_LIST_COUNT; i++) {
		str_printfa(dest, "%s\"%s\": \"%s\"", i == 0 ? "" : ", ",
			    list_names[i], side->digests[i] == NULL ? "" :
			    side->digests[i]);
	}
	str_append(dest, "}}");
}

static void
append_mailbox(string_t *dest, const struct parity_proof_mailbox *box)
{
	str_append(dest, "{\"mailbox\": ");
	append_string(dest, box->name);
	str_printfa(dest, ", \"equal\": %s, \"error\": ",
		    bool_text(box->equal));
	append_string(dest, box->error);
	str_printfa(dest, ", \"texts\": %u,\n     ", box->texts);
	append_side(dest, "source", &box->source);
	str_append(dest, ",\n     ");
	append_side(dest, "destination", &box->dest);
	str_append_c(dest, '}');
}

void parity_proof_write(const struct parity_proof *proof, string_t *dest)
{
	const struct parity_proof_mailbox *box;
	bool first = TRUE;

	str_printfa(dest, "{\n  \"proof_version\": %u,\n  \"program\": ",
		    proof->version);
	append_string(dest, proof->program);
	str_append(dest, ",\n  \"user\": ");
	append_string(dest, proof->user);
	str_append(dest, ",\n  \"location\": ");
	append_string(dest, proof->location);
	str_append(dest, ",\n  \"source\": ");
	append_string(dest, proof->source);
	str_append(dest, ",\n  \"started\": ");
	append_string(dest, proof->started);
	str_append(dest, ",\n  \"written\": ");
	append_string(dest, proof->written);
	str_printfa(dest, ",\n  \"complete\": %s,\n  \"equal\": %s,\n"
		    "  \"sample\": {\"percent\": %u, \"min\": %u, "
		    "\"statement\": ", bool_text(proof->complete),
		    bool_text(proof->equal), proof->sample_percent,
		    proof->sample_min);
	append_string(dest, proof->statement);
	str_append(dest, "},\n  \"mailboxes\": [");
	array_foreach(&proof->mailboxes, box) T_BEGIN {
		str_append(dest, first ? "\n    " : ",\n    ");
		append_mailbox(dest, box);
		first = FALSE;
	} T_END;
	str_append(dest, "\n  ]\n}\n");
}

/*
 * Reading
 */

struct proof_reader {
	pool_t pool;
	struct parity_proof *proof;
	/* what could not be understood, or NULL */
	const char *error;
};

static uint64_t
read_number(struct proof_reader *reader, const char *path, const char *value,
	    uint64_t max)
{
	uint64_t number;

	if (str_to_uint64(value, &number) == 0 && number <= max)
		return number;
	reader->error = p_strdup_printf(reader->pool, "%s is no number that it "
					"can be", path);
	return 0;
}

static void
read_side(struct proof_reader *reader, struct parity_proof_side *side,
	  const char *path, const char *name, const char *value)
{
	unsigned int i;

	side->exists = TRUE;
	if (strcmp(name, "mails") == 0)
		side->mails = read_number(reader, path, value, UINT_MAX);
	else if (strcmp(name, "bytes") == 0)
		side->bytes = read_number(reader, path, value, UINT64_MAX);
	else if (strcmp(name, "uidvalidity") == 0)
		side->uid_validity = read_number(reader, path, value,
						 UINT32_MAX);
	else if (strcmp(name, "uidnext") == 0)
		side->uid_next = read_number(reader, path, value, UINT32_MAX);
	for (i = 0; i < PARITY_PROOF_LIST_COUNT; i++) {
		if (strcmp(name, t_strconcat("sha256/", list_names[i],
					     NULL)) == 0)
			side->digests[i] = p_strdup(reader->pool, value);
	}
}

static void
read_mailbox_value(struct proof_reader *reader, const char *path,
		   const char *const *parts, const char *value)
{
	ARRAY_TYPE(parity_proof_mailbox) *boxes = &reader->proof->mailboxes;
	struct parity_proof_mailbox *box;
	unsigned int idx;

	/* they come in their order, each with its name first */
	if (parts[0] == NULL || parts[1] == NULL ||
	    str_to_uint(parts[0], &idx) < 0 || idx > array_count(boxes)) {
		reader->error = "mailboxes is no list of objects";
		return;
	}
	box = array_idx_get_space(boxes, idx);
	if (strcmp(parts[1], "mailbox") == 0)
		box->name = p_strdup(reader->pool, value);
	else if (strcmp(parts[1], "equal") == 0)
		box->equal = strcmp(value, "true") == 0;
	else if (strcmp(parts[1], "error") == 0)
		box->error = p_strdup(reader->pool, value);
	else if (strcmp(parts[1], "texts") == 0)
		box->texts = read_number(reader, path, value, UINT_MAX);
	else if (parts[2] != NULL && (strcmp(parts[1], "source") == 0 ||
				      strcmp(parts[1], "destination") == 0)) {
		read_side(reader, parts[1][0] == 's' ? &box->source :
			  &box->dest, path,
			  t_strarray_join(parts + 2, "/"), value);
	}
}

static void read_value(void *context, const char *path, const char *value)
{
	struct proof_reader *reader = context;
	struct parity_proof *proof = reader->proof;
	const struct {
		const char *path, **text;
	} texts[] = {
		{ "program", &proof->program },
		{ "user", &proof->user },
		{ "location", &proof->location },
		{ "source", &proof->source },
		{ "started", &proof->started },
		{ "written", &proof->written },
		{ "sample/statement", &proof->statement },
	};
	const char *const *parts;
	unsigned int i;

	if (strcmp(path, "proof_version") == 0)
		proof->version = read_number(reader, path, value, UINT_MAX);
	else if (strcmp(path, "complete") == 0)
		proof->complete = strcmp(value, "true") == 0;
	else if (strcmp(path, "equal") == 0)
		proof->equal = strcmp(value, "true") == 0;
	else if (strcmp(path, "sample/percent") == 0)
		proof->sample_percent = read_number(reader, path, value, 100);
	else if (strcmp(path, "sample/min") == 0)
		proof->sample_min = read_number(reader, path, value, UINT_MAX);
	for (i = 0; i < N_ELEMENTS(texts); i++) {
		if (strcmp(path, texts[i].path) == 0)
			*texts[i].text = p_strdup(reader->pool, value);
	}
	parts = t_strsplit(path, "/");
	if (strcmp(parts[0], "mailboxes") == 0)
		read_mailbox_value(reader, path, parts + 1, value);
}

int parity_proof_read(const char *text, size_t size, pool_t pool,
		      struct parity_proof *proof_r, const char **error_r)
{
	struct proof_reader reader = { .pool = pool, .proof = proof_r };
	const struct parity_proof_mailbox *box;

	i_zero(proof_r);
	p_array_init(&proof_r->mailboxes, pool, 32);
	if (json_walk(text, size, read_value, &reader, error_r) < 0)
		return -1;
	array_foreach(&proof_r->mailboxes, box) {
		if (box->name == NULL)
			reader.error = "a mailbox has no name";
	}
	if (reader.error == NULL && proof_r->version == 0)
		reader.error = "it has no proof_version";
	else if (proof_r->version > PARITY_PROOF_VERSION) {
		reader.error = p_strdup_printf(pool, "proof_version %u is "
			"newer than this program", proof_r->version);
	}
	if (reader.error == NULL)
		return 0;
	*error_r = reader.error;
	return -1;
}

const struct parity_proof_mailbox *
parity_proof_find(const struct parity_proof *proof, const char *name)
{
	const struct parity_proof_mailbox *box;

	array_foreach(&proof->mailboxes, box) {
		if (strcmp(box->name, name) == 0)
			return box;
	}
	return NULL;
}

/*
 * Comparing
 */

static bool
side_is_same(const struct parity_proof_side *a,
	     const struct parity_proof_side *b)
{
	unsigned int i;

	if (a->exists != b->exists || a->mails != b->mails ||
	    a->uid_validity != b->uid_validity || a->uid_next != b->uid_next)
		return FALSE;
	for (i = 0; a->exists && i < PARITY_PROOF_TEXTS; i++) {
		if (null_strcmp(a->digests[i], b->digests[i]) != 0)
			return FALSE;
	}
	return TRUE;
}

bool parity_proof_still_holds(const struct parity_proof *old_proof,
			      const struct parity_proof_mailbox *old,
			      const struct parity_proof_mailbox *now,
			      unsigned int sample_percent,
			      unsigned int sample_min)
{
	return old->equal && old->error == NULL &&
		old_proof->sample_percent >= sample_percent &&
		old_proof->sample_min >= sample_min &&
		side_is_same(&old->source, &now->source) &&
		side_is_same(&old->dest, &now->dest);
}

struct proof_comparison {
	pool_t pool;
	ARRAY_TYPE(parity_proof_change) *changes;
	const char *mailbox, *side;
};

static void
change_add(struct proof_comparison *cmp, const char *what, const char *before,
	   const char *after)
{
	struct parity_proof_change *change;

	if (strcmp(before, after) == 0)
		return;
	change = array_append_space(cmp->changes);
	change->mailbox = cmp->mailbox;
	change->side = cmp->side;
	change->what = what;
	change->before = p_strdup(cmp->pool, before);
	change->after = p_strdup(cmp->pool, after);
}

static void
compare_digest(struct proof_comparison *cmp, enum parity_proof_list list,
	       const struct parity_proof_side *before,
	       const struct parity_proof_side *after)
{
	change_add(cmp, list_names[list],
		   t_strdup_printf("%.16s", before->digests[list] == NULL ?
				   "" : before->digests[list]),
		   t_strdup_printf("%.16s", after->digests[list] == NULL ?
				   "" : after->digests[list]));
}

static void
compare_side(struct proof_comparison *cmp, const char *name,
	     const struct parity_proof_side *before,
	     const struct parity_proof_side *after, bool texts)
{
	unsigned int i;

	cmp->side = name;
	if (!before->exists || !after->exists) {
		change_add(cmp, "mailbox", before->exists ? "there" : "",
			   after->exists ? "there" : "");
		return;
	}
	change_add(cmp, "mails", dec2str(before->mails), dec2str(after->mails));
	change_add(cmp, "uidvalidity", dec2str(before->uid_validity),
		   dec2str(after->uid_validity));
	for (i = 0; i < PARITY_PROOF_TEXTS; i++)
		compare_digest(cmp, i, before, after);
	if (texts)
		compare_digest(cmp, PARITY_PROOF_TEXTS, before, after);
}

static void
compare_mailbox(struct proof_comparison *cmp,
		const struct parity_proof_mailbox *before,
		const struct parity_proof_mailbox *after)
{
	static const struct parity_proof_mailbox none;

	cmp->mailbox = p_strdup(cmp->pool, before != NULL ? before->name :
				after->name);
	if (before == NULL)
		before = &none;
	if (after == NULL)
		after = &none;
	compare_side(cmp, "source", &before->source, &after->source,
		     before->texts == after->texts);
	compare_side(cmp, "destination", &before->dest, &after->dest,
		     before->texts == after->texts);
	cmp->side = "";
	if (before->name != NULL && after->name != NULL) {
		change_add(cmp, "equal", bool_text(before->equal),
			   bool_text(after->equal));
	}
}

void parity_proof_compare(const struct parity_proof *before,
			  const struct parity_proof *after, pool_t pool,
			  ARRAY_TYPE(parity_proof_change) *changes)
{
	struct proof_comparison cmp = { .pool = pool, .changes = changes };
	const struct parity_proof_mailbox *box;

	array_foreach(&before->mailboxes, box) T_BEGIN {
		compare_mailbox(&cmp, box, parity_proof_find(after, box->name));
	} T_END;
	array_foreach(&after->mailboxes, box) T_BEGIN {
		if (parity_proof_find(before, box->name) == NULL)
			compare_mailbox(&cmp, NULL, box);
	} T_END;
}
