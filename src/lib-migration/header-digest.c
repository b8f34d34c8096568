/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "istream.h"
#include "str.h"
#include "byteorder.h"
#include "md5.h"
#include "sha1.h"
#include "header-digest.h"

#include <ctype.h>

/* A header beyond this is cut: nobody writes it, and it must not fill the
   memory. */
#define HEADER_MAX_SIZE (1024*1024)

/* Fields that one of the two views lacks or that change over time.
   Return-Path, X-Yahoo-Newman-Property: Yahoo shows them over IMAP only.
   X-Message-Flag: Exchange adds it to flagged mails.
   X-GM-Thrid, X-Gmail-Labels: Google Takeout adds them.
   The others are written by mbox servers into the mail's text. */
static const char *const skipped_fields[] = {
	"content-length", "return-path", "status", "x-delivery-id",
	"x-gm-thrid", "x-gmail-labels", "x-imap", "x-imapbase", "x-keywords",
	"x-message-flag", "x-status", "x-uid", "x-uidl",
	"x-yahoo-newman-property", NULL
};

/* One logical field while its lines are read. */
struct field {
	string_t *name, *value;
	bool valid;
};

static void sha1_to_sum(const unsigned char *data, size_t size,
			uint64_t sum_r[2])
{
	unsigned char digest[SHA1_RESULTLEN];

	sha1_get_digest(data, size, digest);
	memcpy(sum_r, digest, sizeof(uint64_t) * 2);
}

static uint64_t value_hash(const string_t *value)
{
	uint64_t sum[2];

	if (str_len(value) == 0)
		return 0;
	sha1_to_sum(str_data(value), str_len(value), sum);
	/* 0 means "not there" */
	return sum[0] == 0 ? 1 : sum[0];
}

static uint64_t md5_half(const unsigned char *data, size_t size)
{
	unsigned char digest[MD5_RESULTLEN];

	md5_get_digest(data, size, digest);
	return be64_to_cpu_unaligned(digest);
}

static void
message_id_hash(const string_t *value, struct header_digest *digest)
{
	const unsigned char *data = str_data(value);
	size_t size = str_len(value);

	digest->message_id = value_hash(value);
	digest->message_id_md5[0] = digest->message_id_md5[1] = 0;
	if (size < 2 || data[0] != '<' || data[size-1] != '>')
		return;
	digest->message_id_md5[0] = md5_half(data, size);
	digest->message_id_md5[1] = md5_half(data + 1, size - 2);
}

/* Blanks are trimmed or moved by refolding, 8-bit bytes become one '?' each,
   one per UTF-8 sequence or none, NUL becomes 0x80: none of them can be told
   from another, so none of them counts. */
static bool byte_counts(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '?';
}

static void append_counting(string_t *dest, const unsigned char *data,
			    size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (byte_counts(data[i]))
			str_append_c(dest, data[i]);
	}
}

/* A field finished: add it to the digest. Order does not count, therefore the
   fields' hashes are summed. */
static void field_finish(struct field *field, struct header_digest *digest)
{
	uint64_t sum[2];
	const char *name;
	size_t name_len;

	if (!field->valid)
		return;
	field->valid = FALSE;

	name = str_c(field->name);
	if (str_array_find(skipped_fields, name))
		return;
	if (strcmp(name, "message-id") == 0)
		message_id_hash(field->value, digest);
	else if (strcmp(name, "date") == 0)
		digest->date = value_hash(field->value);
	else if (strcmp(name, "from") == 0)
		digest->from = value_hash(field->value);
	else if (strcmp(name, "subject") == 0)
		digest->subject = value_hash(field->value);

	name_len = str_len(field->name);
	str_append_c(field->name, ':');
	str_append_str(field->name, field->value);
	sha1_to_sum(str_data(field->name), str_len(field->name), sum);
	str_truncate(field->name, name_len);
	digest->all[0] += sum[0];
	digest->all[1] += sum[1];
	digest->field_count++;
}

/* Begin a field. Lines without a colon and names that are no names are dropped
   by some servers (Zimbra, Oracle IMS, Yahoo), so they never count. */
static void field_begin(struct field *field, const unsigned char *line,
			size_t size)
{
	const unsigned char *colon = memchr(line, ':', size);
	size_t i, name_len;

	str_truncate(field->name, 0);
	str_truncate(field->value, 0);
	field->valid = FALSE;
	if (colon == NULL)
		return;
	name_len = colon - line;
	while (name_len > 0 &&
	       (line[name_len-1] == ' ' || line[name_len-1] == '\t'))
		name_len--;
	if (name_len == 0)
		return;
	for (i = 0; i < name_len; i++) {
		if (line[i] <= 0x20 || line[i] >= 0x7f)
			return;
		str_append_c(field->name, i_tolower(line[i]));
	}
	append_counting(field->value, colon + 1, size - (colon + 1 - line));
	field->valid = TRUE;
}

void header_digest_get(const unsigned char *data, size_t size,
		       struct header_digest *digest_r)
{
	struct field field;
	const unsigned char *line = data, *end = data + size, *lf;
	size_t line_len;

	i_zero(digest_r);
	i_zero(&field);
	field.name = str_new(default_pool, 128);
	field.value = str_new(default_pool, 512);

	for (; line < end; line = lf + 1) {
		lf = memchr(line, '\n', end - line);
		line_len = (lf != NULL ? lf : end) - line;
		digest_r->raw_size += line_len;
		if (lf != NULL) {
			digest_r->raw_size +=
				line_len > 0 && line[line_len-1] == '\r' ? 1 : 2;
		}
		/* CR CR LF: an empty line for us on both sides, although only
		   Courier's IMAP takes it for one */
		while (line_len > 0 && line[line_len-1] == '\r')
			line_len--;
		if (line_len == 0)
			break;
		if (line[0] == ' ' || line[0] == '\t')
			append_counting(field.value, line, line_len);
		else {
			field_finish(&field, digest_r);
			field_begin(&field, line, line_len);
		}
		if (lf == NULL)
			break;
	}
	field_finish(&field, digest_r);
	str_free(&field.name);
	str_free(&field.value);
}

enum header_likeness
header_digest_compare(const struct header_digest *a,
		      const struct header_digest *b)
{
	if (a->field_count == b->field_count &&
	    a->all[0] == b->all[0] && a->all[1] == b->all[1])
		return HEADER_LIKENESS_EQUAL;
	if (a->message_id != 0 && a->message_id == b->message_id &&
	    a->date == b->date && a->from == b->from)
		return HEADER_LIKENESS_FIELDS;
	return HEADER_LIKENESS_OTHER;
}

bool header_digest_is_telling(const struct header_digest *digest)
{
	return digest->message_id != 0 ||
		(digest->date != 0 && digest->field_count >= 4);
}

bool header_digest_get_fields(const struct header_digest *digest,
			      uint64_t sum_r[2])
{
	if (digest->message_id == 0)
		return FALSE;
	sum_r[0] = digest->message_id;
	sum_r[1] = digest->date * 3 + digest->from;
	return TRUE;
}

uint64_t header_digest_of_message_id(const char *message_id)
{
	string_t *value = t_str_new(128);

	append_counting(value, (const unsigned char *)message_id,
			strlen(message_id));
	return value_hash(value);
}

bool body_digest_is_empty(const struct body_digest *digest)
{
	uint64_t empty[2];

	sha1_to_sum(&uchar_nul, 0, empty);
	return digest->sum[0] == empty[0] && digest->sum[1] == empty[1];
}

struct mail_digest {
	buffer_t *header;
	struct sha1_ctxt body;
	/* Newlines are held back: those at the end do not count. */
	uint64_t pending_newlines;
	/* Bytes of the present header line that are no CR. */
	size_t line_len;
	bool in_body;
};

struct mail_digest *mail_digest_init(void)
{
	struct mail_digest *digest = i_new(struct mail_digest, 1);

	digest->header = buffer_create_dynamic(default_pool, 2048);
	sha1_init(&digest->body);
	return digest;
}

static void body_digest_more(struct mail_digest *digest,
			     const unsigned char *data, size_t size)
{
	unsigned char buf[1024];
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = data[i];

		if (c == '\r')
			continue;
		if (c == '\n') {
			digest->pending_newlines++;
			continue;
		}
		/* Dovecot shows NUL as 0x80 */
		if (c == 0x80)
			c = '\0';
		for (; digest->pending_newlines > 0; digest->pending_newlines--) {
			if (used == sizeof(buf)) {
				sha1_loop(&digest->body, buf, used);
				used = 0;
			}
			buf[used++] = '\n';
		}
		if (used == sizeof(buf)) {
			sha1_loop(&digest->body, buf, used);
			used = 0;
		}
		buf[used++] = c;
	}
	if (used > 0)
		sha1_loop(&digest->body, buf, used);
}

/* Returns the bytes that belong to the header. */
static size_t header_more(struct mail_digest *digest,
			  const unsigned char *data, size_t size)
{
	size_t i;

	for (i = 0; i < size && !digest->in_body; i++) {
		if (data[i] == '\n') {
			digest->in_body = digest->line_len == 0;
			digest->line_len = 0;
		} else if (data[i] != '\r') {
			digest->line_len++;
		}
	}
	if (digest->header->used < HEADER_MAX_SIZE)
		buffer_append(digest->header, data, i);
	return i;
}

void mail_digest_more(struct mail_digest *digest,
		      const unsigned char *data, size_t size)
{
	size_t used = 0;

	if (!digest->in_body)
		used = header_more(digest, data, size);
	if (used < size)
		body_digest_more(digest, data + used, size - used);
}

int mail_digest_stream(struct mail_digest *digest, struct istream *input)
{
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(input, &data, &size) > 0) {
		mail_digest_more(digest, data, size);
		i_stream_skip(input, size);
	}
	return input->stream_errno == 0 ? 0 : -1;
}

const unsigned char *
mail_digest_get_header_text(struct mail_digest *digest, size_t *size_r)
{
	*size_r = digest->header->used;
	return digest->header->data;
}

/* A text without header fields is no header: its lines are told apart as those
   of a body are. (Yahoo adds fields to it, which do not count.) */
static void digest_text_in_header(struct mail_digest *digest)
{
	const unsigned char *line = digest->header->data;
	const unsigned char *end = line + digest->header->used, *next;

	/* empty lines after it: some POP3 servers add one to TOP */
	digest->pending_newlines = 0;
	for (; line < end; line = next) {
		next = memchr(line, '\n', end - line);
		next = next == NULL ? end : next + 1;
		if (memchr(line, ':', next - line) == NULL)
			body_digest_more(digest, line, next - line);
	}
}

void mail_digest_deinit(struct mail_digest **_digest,
			struct header_digest *header_r,
			struct body_digest *body_r)
{
	struct mail_digest *digest = *_digest;
	struct header_digest header;
	unsigned char result[SHA1_RESULTLEN];

	*_digest = NULL;
	header_digest_get(digest->header->data, digest->header->used, &header);
	if (header.field_count == 0)
		digest_text_in_header(digest);
	sha1_result(&digest->body, result);
	if (header_r != NULL)
		*header_r = header;
	if (body_r != NULL)
		memcpy(body_r->sum, result, sizeof(body_r->sum));
	buffer_free(&digest->header);
	i_free(digest);
}
