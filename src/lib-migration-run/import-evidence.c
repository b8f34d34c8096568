/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "mail-storage-private.h"
#include "imapc-storage.h"
#include "import-evidence.h"

const char *const import_evidence_key_headers[] = {
	"Message-ID", "Date", "From", NULL
};

bool import_evidence_is_remote(struct mail *mail)
{
	const char *name = mail->box->storage->name;

	return strcmp(name, "imapc") == 0 || strcmp(name, "pop3c") == 0;
}

bool import_evidence_has_guid(struct mail *mail)
{
	const char *name = mail->box->storage->name;
	const struct imapc_mailbox *imapc_box;

	if (strcmp(name, "mbox") == 0 || strcmp(name, "pop3c") == 0)
		return FALSE;
	if (strcmp(name, "imapc") != 0)
		return TRUE;
	imapc_box = IMAPC_MAILBOX(mail->box);
	return imapc_box->guid_fetch_field_name != NULL;
}

static int read_guid(struct mail *mail, struct import_identity *identity)
{
	const char *guid;

	if (!import_evidence_has_guid(mail)) {
		guid_128_empty(identity->guid);
		return 0;
	}
	if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0)
		return -1;
	/* dbox keeps 128 bits of a longer GUID, and gives them in hex */
	if (*guid != '\0')
		mail_generate_guid_128_hash(guid, identity->guid);
	else
		guid_128_empty(identity->guid);
	return 0;
}

static int read_stream(struct istream *input, struct header_digest *header_r,
		       struct body_digest *body_r)
{
	struct mail_digest *digest = mail_digest_init();
	int ret = mail_digest_stream(digest, input);

	mail_digest_deinit(&digest, header_r, body_r);
	return ret;
}

/* All fields come in one stream. If imapc is asked for one after the other, it
   fetches them one by one, and says that the second one is missing (QUIRKS.md,
   "imapc-second-header"). */
static int read_key(struct mail *mail, struct import_identity *identity)
{
	struct mailbox_header_lookup_ctx *headers;
	struct header_digest digest;
	struct istream *input;
	int ret;

	headers = mailbox_header_lookup_init(mail->box,
					     import_evidence_key_headers);
	ret = mail_get_header_stream(mail, headers, &input);
	if (ret == 0)
		ret = read_stream(input, &digest, NULL);
	mailbox_header_lookup_unref(&headers);
	if (ret < 0)
		return -1;
	identity->has_message_id = digest.message_id != 0;
	identity->key = digest.message_id * 3 + digest.date * 5 +
		digest.from * 7;
	return 0;
}

static int read_size(struct mail *mail, struct import_identity *identity)
{
	enum mail_lookup_abort orig_abort = mail->lookup_abort;
	int ret;

	/* a foreign server's size can be wrong (Exchange's RFC822.SIZE), and
	   imapc and pop3c would download the mail to know it */
	if (import_evidence_is_remote(mail))
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
	struct istream *input;
	int ret;

	ret = read_body ?
		mail_get_stream_because(mail, NULL, NULL, "import", &input) :
		mail_get_hdr_stream_because(mail, NULL, "import", &input);
	if (ret < 0 || read_stream(input, &header, read_body ?
				   &identity->body : NULL) < 0)
		return -1;
	memcpy(identity->header, header.all, sizeof(identity->header));
	return 0;
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

void import_evidence_get_flags(struct mail *mail, struct import_flags *flags_r)
{
	flags_r->flags = mail_get_flags(mail);
	flags_r->keywords = mail_get_keywords(mail);
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
