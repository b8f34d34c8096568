/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "sha1.h"
#include "mail-storage-private.h"
#include "import-evidence.h"

const char *const import_evidence_key_headers[] = {
	"Message-ID", "Date", "From", NULL
};

static int read_guid(struct mail *mail, struct import_identity *identity)
{
	const char *guid;

	if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0)
		return -1;
	/* dbox keeps 128 bits of a longer GUID, and gives them in hex */
	if (*guid != '\0')
		mail_generate_guid_128_hash(guid, identity->guid);
	else
		guid_128_empty(identity->guid);
	return 0;
}

/* The cache file and the mail itself give another folding. */
static void hash_unfolded(struct sha1_ctxt *ctx, const char *value)
{
	bool blank = FALSE, begun = FALSE;

	for (; *value != '\0'; value++) {
		if (*value == ' ' || *value == '\t' ||
		    *value == '\r' || *value == '\n') {
			blank = begun;
			continue;
		}
		if (blank)
			sha1_loop(ctx, " ", 1);
		sha1_loop(ctx, value, 1);
		blank = FALSE;
		begun = TRUE;
	}
	sha1_loop(ctx, "", 1);
}

static int read_key(struct mail *mail, struct import_identity *identity)
{
	unsigned char result[SHA1_RESULTLEN];
	struct sha1_ctxt ctx;
	const char *value;
	unsigned int i;

	sha1_init(&ctx);
	for (i = 0; import_evidence_key_headers[i] != NULL; i++) {
		switch (mail_get_first_header(mail,
				import_evidence_key_headers[i], &value)) {
		case -1:
			return -1;
		case 0:
			value = "";
			break;
		}
		hash_unfolded(&ctx, value);
	}
	sha1_result(&ctx, result);
	memcpy(&identity->key, result, sizeof(identity->key));
	return 0;
}

/* A foreign server's size can be wrong (Exchange's RFC822.SIZE), and imapc and
   pop3c would download the mail to know it. */
static bool is_remote(struct mail *mail)
{
	const char *name = mail->box->storage->name;

	return strcmp(name, "imapc") == 0 || strcmp(name, "pop3c") == 0;
}

static int read_size(struct mail *mail, struct import_identity *identity)
{
	enum mail_lookup_abort orig_abort = mail->lookup_abort;
	int ret;

	if (is_remote(mail))
		return -1;
	mail->lookup_abort = MAIL_LOOKUP_ABORT_READ_MAIL;
	ret = mail_get_virtual_size(mail, &identity->size);
	mail->lookup_abort = orig_abort;
	return ret;
}

static int
read_digest(struct mail *mail, bool read_body, struct import_identity *identity)
{
	struct header_digest header;
	struct mail_digest *digest;
	struct istream *input;
	const unsigned char *data;
	size_t size;
	int ret;

	ret = read_body ?
		mail_get_stream_because(mail, NULL, NULL, "import", &input) :
		mail_get_hdr_stream_because(mail, NULL, "import", &input);
	if (ret < 0)
		return -1;

	digest = mail_digest_init();
	while (i_stream_read_more(input, &data, &size) > 0) {
		mail_digest_more(digest, data, size);
		i_stream_skip(input, size);
	}
	mail_digest_deinit(&digest, &header,
			   read_body ? &identity->body : NULL);
	memcpy(identity->header, header.all, sizeof(identity->header));
	return input->stream_errno == 0 ? 0 : -1;
}

static int read_one(struct mail *mail, enum import_evidence evidence,
		    struct import_identity *identity)
{
	switch (evidence) {
	case IMPORT_EVIDENCE_GUID:
		return read_guid(mail, identity);
	case IMPORT_EVIDENCE_KEY:
		return read_key(mail, identity);
	case IMPORT_EVIDENCE_SIZE:
		return read_size(mail, identity);
	case IMPORT_EVIDENCE_HEADER:
		return read_digest(mail, FALSE, identity);
	case IMPORT_EVIDENCE_BODY:
		return read_digest(mail, TRUE, identity);
	}
	i_unreached();
}

void import_evidence_read(struct mail *mail, enum import_evidence wanted,
			  struct import_identity *identity)
{
	static const enum import_evidence all[] = {
		IMPORT_EVIDENCE_GUID, IMPORT_EVIDENCE_KEY,
		IMPORT_EVIDENCE_SIZE, IMPORT_EVIDENCE_HEADER,
		IMPORT_EVIDENCE_BODY
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(all); i++) {
		if ((wanted & all[i]) == 0)
			continue;
		T_BEGIN {
			if (read_one(mail, all[i], identity) < 0)
				identity->unreadable |= all[i];
			else
				identity->known |= all[i];
		} T_END;
	}
}
