/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The quota plugin is a module like ours: what it exports is found by name. */

#include "lib.h"
#include "module-dir.h"
#include "mail-storage-service.h"
#include "mail-user.h"
#include "quota.h"
#include "quota-room.h"

static void *quota_function(const char *name)
{
	struct module *module =
		module_dir_find(mail_storage_service_modules, "quota");

	return module == NULL ? NULL : module_get_symbol_quiet(module, name);
}

typedef struct quota_root_iter *iter_init_t(struct mail_user *user);
typedef struct quota_root *iter_next_t(struct quota_root_iter *iter);
typedef void iter_deinit_t(struct quota_root_iter **iter);
typedef struct quota_transaction_context *begin_t(struct mailbox *box);
typedef void rollback_t(struct quota_transaction_context **ctx);
#if DOVECOT_PREREQ(2, 4, 0)
typedef enum quota_get_result
get_t(struct quota_root *root, struct mailbox *box, const char *name,
      uint64_t *value_r, uint64_t *limit_r, const char **error_r);
typedef enum quota_alloc_result
test_t(struct quota_transaction_context *ctx, uoff_t size,
       struct mailbox *expunged_box, uoff_t expunged_size,
       const struct quota_overrun **overruns_r, const char **error_r);
#else
typedef enum quota_get_result
get_t(struct quota_root *root, const char *mailbox_name, const char *name,
      uint64_t *value_r, uint64_t *limit_r, const char **error_r);
typedef enum quota_alloc_result
test_t(struct quota_transaction_context *ctx, uoff_t size,
       const char **error_r);
#endif

/* Lowers the room to what is left of the resource. */
static int
room_add(get_t *get, struct quota_root *root, const char *name, uint64_t *room,
	 const char **error_r)
{
	uint64_t value, limit, left;

#if DOVECOT_PREREQ(2, 4, 0)
	switch (get(root, NULL, name, &value, &limit, error_r)) {
#else
	switch (get(root, "", name, &value, &limit, error_r)) {
#endif
	case QUOTA_GET_RESULT_BACKGROUND_CALC:
	case QUOTA_GET_RESULT_INTERNAL_ERROR:
		return -1;
	case QUOTA_GET_RESULT_UNKNOWN_RESOURCE:
	case QUOTA_GET_RESULT_UNLIMITED:
		break;
	case QUOTA_GET_RESULT_LIMITED:
		left = value >= limit ? 0 : limit - value;
		*room = I_MIN(*room, left);
		break;
	}
	return 0;
}

int quota_room_read(struct mail_user *user, struct quota_room *room_r,
		    const char **error_r)
{
	iter_init_t *iter_init = quota_function("quota_root_iter_init_user");
	iter_next_t *iter_next = quota_function("quota_root_iter_next");
	iter_deinit_t *iter_deinit = quota_function("quota_root_iter_deinit");
	get_t *get = quota_function("quota_get_resource");
	struct quota_root_iter *iter;
	struct quota_root *root;
	int ret = 0;

	room_r->bytes = room_r->mails = UINT64_MAX;
	if (iter_init == NULL || iter_next == NULL || iter_deinit == NULL ||
	    get == NULL || !mail_user_is_plugin_loaded(user,
			module_dir_find(mail_storage_service_modules, "quota")))
		return 0;
	iter = iter_init(user);
	while (ret >= 0 && (root = iter_next(iter)) != NULL) {
		ret = room_add(get, root, QUOTA_NAME_STORAGE_BYTES,
			       &room_r->bytes, error_r) < 0 ||
			room_add(get, root, QUOTA_NAME_MESSAGES,
				 &room_r->mails, error_r) < 0 ? -1 : 1;
	}
	iter_deinit(&iter);
	return ret;
}

bool quota_room_size_is_refused(struct mailbox *box, uoff_t size)
{
	begin_t *begin = quota_function("quota_transaction_begin");
	rollback_t *rollback = quota_function("quota_transaction_rollback");
	test_t *test = quota_function("quota_test_alloc");
	struct quota_transaction_context *ctx;
	const char *error;
	bool refused;

	if (begin == NULL || rollback == NULL || test == NULL)
		return FALSE;
	ctx = begin(box);
#if DOVECOT_PREREQ(2, 4, 0)
	refused = test(ctx, size, NULL, 0, NULL, &error) ==
		QUOTA_ALLOC_RESULT_OVER_MAXSIZE;
#else
	refused = test(ctx, size, &error) == QUOTA_ALLOC_RESULT_OVER_MAXSIZE;
#endif
	rollback(&ctx);
	return refused;
}
