/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "ioloop.h"
#include "istream.h"
#include "str.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "migration-file.h"
#include "migration-report.h"
#include "doveadm-verify-private.h"
#include "verify-proof.h"

#include <sysexits.h>
#include <time.h>

/* A run that is killed loses what it compared after the last writing. */
#define PROOF_WRITE_INTERVAL_SECS 2
/* more is no proof of ours */
#define PROOF_MAX_SIZE (256*1024*1024)

struct verify_proof {
	pool_t pool;
	const char *path;
	struct parity_proof proof;
	/* what --resume goes on from; has no mailboxes without it */
	struct parity_proof earlier;
	time_t written;
};

/* doveadm works for one user at a time: the file of the one before */
static char *previous_path = NULL, *previous_user = NULL;

static int proof_failed(struct verify_context *vctx, int exit_code,
			const char *why)
{
	e_error(vctx->run->event, "--proof %s: %s", vctx->cmd->proof_path, why);
	vctx->cmd->ctx.exit_code = exit_code;
	return -1;
}

/* %u is the user. */
static const char *proof_expand(struct mail_user *user, const char *path)
{
	string_t *str = t_str_new(128);

	for (; *path != '\0'; path++) {
		if (path[0] == '%' && path[1] == 'u') {
			str_append(str, user->username);
			path++;
		} else {
			str_append_c(str, *path);
		}
	}
	return mail_user_home_expand(user, str_c(str));
}

static int
proof_get_path(struct verify_context *vctx, pool_t pool, const char **path_r)
{
	struct mail_user *user = vctx->dest_user;
	const char *path = vctx->cmd->proof_path;

	if (strstr(path, "%u") != NULL && strchr(user->username, '/') != NULL)
		return proof_failed(vctx, EX_USAGE, "the user's name has a /");
	path = proof_expand(user, path);
	if (*path != '/') {
		return proof_failed(vctx, EX_USAGE,
			"it must begin with / or ~/");
	}
	if (previous_path != NULL && strcmp(previous_path, path) == 0 &&
	    strcmp(previous_user, user->username) != 0) {
		return proof_failed(vctx, EX_USAGE, t_strdup_printf(
			"it is the file of user %s, too: put %%u or ~/ into "
			"it", previous_user));
	}
	i_free(previous_path);
	i_free(previous_user);
	previous_path = i_strdup(path);
	previous_user = i_strdup(user->username);
	*path_r = p_strdup(pool, path);
	return 0;
}

static const char *time_text(time_t t)
{
	char buf[64];
	struct tm *tm = gmtime(&t);

	if (tm == NULL || strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ",
				   tm) == 0)
		return "";
	return t_strdup(buf);
}


int verify_proof_load(const char *path, pool_t pool,
		      struct parity_proof *proof_r, const char **error_r)
{
	struct istream *input = i_stream_create_file(path, PROOF_MAX_SIZE);
	const unsigned char *data;
	size_t size;
	ssize_t ret;

	while ((ret = i_stream_read(input)) > 0) ;
	data = i_stream_get_data(input, &size);
	if (ret == -2) {
		*error_r = "it is too large";
		ret = -1;
	} else if (input->stream_errno == ENOENT) {
		ret = 0;
	} else if (input->stream_errno != 0) {
		*error_r = t_strdup(i_stream_get_error(input));
		ret = -1;
	} else {
		ret = parity_proof_read((const char *)data, size, pool, proof_r,
					error_r) < 0 ? -1 : 1;
	}
	i_stream_unref(&input);
	return ret;
}

static void proof_tell_ahead(struct verify_context *vctx)
{
	struct migration_run *run = vctx->run;
	const struct parity_proof_mailbox *box;

	p_array_init(&run->ahead.without_texts, run->pool,
		     array_count(&vctx->proof->earlier.mailboxes) + 1);
	array_foreach(&vctx->proof->earlier.mailboxes, box) {
		if (box->equal)
			array_push_back(&run->ahead.without_texts, &box->name);
	}
	array_sort(&run->ahead.without_texts, i_strcmp_p);
}

static int proof_resume(struct verify_context *vctx, pool_t pool)
{
	struct verify_proof *vproof = vctx->proof;
	struct parity_proof earlier;
	const char *error;
	int ret;

	ret = verify_proof_load(vproof->path, pool, &earlier, &error);
	if (ret < 0) {
		return proof_failed(vctx, EX_DATAERR, t_strdup_printf(
			"there is nothing to go on from (--resume): %s", error));
	}
	if (ret == 0)
		return 0;
	if (strcmp(earlier.user, vproof->proof.user) != 0 ||
	    strcmp(earlier.location, vproof->proof.location) != 0) {
		return proof_failed(vctx, EX_DATAERR, t_strdup_printf(
			"--resume: it is about user %s and the source %s",
			earlier.user, earlier.location));
	}
	vproof->earlier = earlier;
	proof_tell_ahead(vctx);
	e_info(vctx->run->event, "Going on from the proof of %s: %u mailboxes",
	       earlier.written, array_count(&earlier.mailboxes));
	return 0;
}

int verify_proof_init(struct verify_context *vctx, pool_t pool)
{
	struct verify_cmd_context *cmd = vctx->cmd;
	struct verify_proof *vproof;
	struct parity_proof *proof;
	const char *path = NULL;

	if (cmd->proof_path == NULL)
		return 0;
	if (proof_get_path(vctx, pool, &path) < 0)
		return -1;
	vproof = vctx->proof = p_new(pool, struct verify_proof, 1);
	vproof->pool = pool;
	vproof->path = path;
	vproof->written = ioloop_time;
	p_array_init(&vproof->earlier.mailboxes, pool, 1);
	proof = &vproof->proof;
	proof->version = PARITY_PROOF_VERSION;
	proof->program = migration_report_program();
	proof->user = vctx->dest_user->username;
	proof->location = cmd->location;
	proof->source = "";
	proof->started = p_strdup(pool, time_text(time(NULL)));
	proof->sample_percent = cmd->sample_percent;
	proof->sample_min = cmd->sample_min;
	p_array_init(&proof->mailboxes, pool, 64);
	return cmd->resume ? proof_resume(vctx, pool) : 0;
}

static void proof_write(struct verify_context *vctx)
{
	struct verify_proof *vproof = vctx->proof;
	string_t *json = str_new(default_pool, 4096);
	const char *error;

	vproof->proof.source = vctx->run->source;
	vproof->proof.written = time_text(time(NULL));
	vproof->proof.statement =
		parity_sample_sentence(&vctx->sample, vctx->cmd->confidence);
	parity_proof_write(&vproof->proof, json);
	if (migration_file_replace(vproof->path, json, &error) < 0)
		(void)proof_failed(vctx, EX_CANTCREAT, error);
	str_free(&json);
	vproof->written = time(NULL);
}

const struct parity_proof_mailbox *
verify_proof_held(struct verify_context *vctx,
		  const struct parity_mailbox *source,
		  const struct parity_mailbox *dest, pool_t pool)
{
	const struct parity_proof_mailbox *held;
	struct parity_proof_mailbox now;

	if (vctx->proof == NULL)
		return NULL;
	held = parity_proof_find(&vctx->proof->earlier, source->name);
	if (held == NULL)
		return NULL;
	i_zero(&now);
	parity_proof_side_fill(source, pool, &now.source);
	parity_proof_side_fill(dest, pool, &now.dest);
	return parity_proof_still_holds(&vctx->proof->earlier, held, &now,
					vctx->cmd->sample_percent,
					vctx->cmd->sample_min) ? held : NULL;
}

void verify_proof_add(struct verify_context *vctx,
		      const struct verify_result *result,
		      const struct parity_mailbox *source,
		      const struct parity_mailbox *dest,
		      const struct parity_proof_mailbox *held)
{
	struct verify_proof *vproof = vctx->proof;
	struct parity_proof_mailbox *box;

	if (vproof == NULL)
		return;
	box = array_append_space(&vproof->proof.mailboxes);
	if (held != NULL)
		*box = *held;
	else if (source != NULL) {
		parity_proof_side_fill(source, vproof->pool, &box->source);
		parity_proof_side_fill(dest, vproof->pool, &box->dest);
	}
	box->name = p_strdup(vproof->pool, result->name);
	box->equal = verify_result_is_equal(result);
	box->error = p_strdup(vproof->pool, result->error);
	box->texts = result->text_count;
	if (time(NULL) - vproof->written >= PROOF_WRITE_INTERVAL_SECS)
		proof_write(vctx);
}

void verify_proof_finish(struct verify_context *vctx, bool complete, bool equal)
{
	if (vctx->proof == NULL)
		return;
	vctx->proof->proof.complete = complete;
	vctx->proof->proof.equal = complete && equal;
	proof_write(vctx);
}
