/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All plugins of the suite in one process, around real storage: what a user
   does with his mailboxes has the same result as without them, nothing is
   logged, nothing leaks. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "istream.h"
#include "ioloop.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "test-common.h"
#include "storage-test.h"
#include "test-mail-storage-common.h"
#include "module-loader.h"
#include "settings-loader.h"

static const char *const plugins[] = {
	"imapc", "pop3", "gmail", "import",
};

static const char *const drivers[] = { "maildir", "sdbox", "mdbox" };

static struct module *modules;

static struct module *plugin_find(const char *name)
{
	const char *file = t_strdup_printf("migration_%s_plugin", name);

	return module_dir_find(modules, file);
}

static void plugins_load(void)
{
	const struct setting_parser_info *info;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(plugins); i++) {
		const char *name = t_strconcat("migration_", plugins[i], NULL);

		modules = migration_module_load(modules,
			t_strdup_printf(PLUGIN_DIR"/migration-%s/.libs",
					plugins[i]), name);
		info = module_get_symbol(plugin_find(plugins[i]),
			t_strconcat(name, "_setting_parser_info", NULL));
		i_assert(info != NULL);
		migration_settings_register(info);
	}
	module_dir_init(modules);
}

static int mail_save(struct mailbox *box, const char *text)
{
	struct mailbox_transaction_context *t;
	struct mail_save_context *ctx;
	struct istream *input;
	int ret;

	t = mailbox_transaction_begin(box, MAILBOX_TRANSACTION_FLAG_EXTERNAL,
				      __func__);
	ctx = mailbox_save_alloc(t);
	input = i_stream_create_from_data(text, strlen(text));
	ret = mailbox_save_begin(&ctx, input);
	while (ret == 0 && i_stream_read(input) > 0)
		ret = mailbox_save_continue(ctx);
	if (ret == 0)
		ret = mailbox_save_finish(&ctx);
	i_stream_unref(&input);
	if (mailbox_transaction_commit(&t) < 0)
		ret = -1;
	return ret;
}

/* copies all mails of the source, marks them, and expunges the last */
static int mails_copy(struct mailbox *src, struct mailbox *dest)
{
	struct mailbox_transaction_context *src_t, *dest_t;
	struct mail_save_context *ctx;
	struct mail *mail;
	uint32_t seq;
	int ret = 0;

	src_t = mailbox_transaction_begin(src, 0, __func__);
	dest_t = mailbox_transaction_begin(dest,
		MAILBOX_TRANSACTION_FLAG_EXTERNAL, __func__);
	mail = mail_alloc(src_t, 0, NULL);
	for (seq = 1; seq <= 2; seq++) {
		mail_set_seq(mail, seq);
		ctx = mailbox_save_alloc(dest_t);
		mailbox_save_copy_flags(ctx, mail);
		if (mailbox_copy(&ctx, mail) < 0)
			ret = -1;
		mail_update_flags(mail, MODIFY_ADD, MAIL_SEEN);
	}
	mail_expunge(mail);
	mail_free(&mail);
	if (mailbox_transaction_commit(&dest_t) < 0 ||
	    mailbox_transaction_commit(&src_t) < 0)
		ret = -1;
	return ret;
}

/* "mailbox: uid/flags/GUID given ..." of all mails */
static void mailbox_describe(struct mailbox *box, string_t *dest)
{
	struct mailbox_transaction_context *t;
	struct mail *mail;
	struct mailbox_status status;
	const char *uidl;
	uint32_t seq;
	uoff_t size;

	mailbox_get_open_status(box, STATUS_MESSAGES | STATUS_UIDNEXT, &status);
	str_printfa(dest, "%s next=%u:", mailbox_get_vname(box),
		    status.uidnext);
	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	for (seq = 1; seq <= status.messages; seq++) {
		mail_set_seq(mail, seq);
		if (mail_get_virtual_size(mail, &size) < 0)
			size = 0;
		if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0)
			uidl = "error";
		str_printfa(dest, " %u/%x/%"PRIuUOFF_T"/%s", mail->uid,
			    mail_get_flags(mail) & ~(unsigned int)MAIL_RECENT,
			    size, uidl);
	}
	mail_free(&mail);
	test_assert(mailbox_transaction_commit(&t) == 0);
	str_append_c(dest, '\n');
}

static struct mailbox *
mailbox_make(struct mail_user *user, const char *name)
{
	struct mailbox *box;

	box = mailbox_alloc(mail_namespace_find_inbox(user->namespaces)->list,
			    name, 0);
	if (strcmp(name, "INBOX") != 0)
		test_assert(mailbox_create(box, NULL, FALSE) == 0);
	test_assert(mailbox_open(box) == 0);
	return box;
}

/* Everything that a session does to mailboxes; returns what came of it. */
static const char *user_session(struct mail_user *user)
{
	struct mailbox *inbox, *other;
	string_t *result = t_str_new(256);

	inbox = mailbox_make(user, "INBOX");
	other = mailbox_make(user, "Other");
	test_assert(mail_save(inbox, "Subject: one\r\n\r\nfirst\r\n") == 0);
	test_assert(mail_save(inbox, "Subject: two\r\n\r\nsecond one\r\n") == 0);
	test_assert(mail_save(inbox, "") == 0);
	test_assert(mailbox_sync(inbox, 0) == 0);
	test_assert(mails_copy(inbox, other) == 0);
	test_assert(mailbox_sync(inbox, 0) == 0);
	test_assert(mailbox_sync(other, 0) == 0);
	mailbox_describe(inbox, result);
	mailbox_describe(other, result);
	mailbox_free(&inbox);
	test_assert(mailbox_delete(other) == 0);
	mailbox_free(&other);
	return str_c(result);
}

static const char *
run_session(struct test_mail_storage_ctx *ctx, const char *driver)
{
	struct test_mail_storage_settings set = {
		.driver = driver,
		.hierarchy_sep = "/",
	};
	const char *result;

	test_mail_storage_init_user(ctx, &set);
	result = user_session(ctx->user);
	test_mail_storage_deinit_user(ctx);
	return result;
}

static void test_plugins(void)
{
	static const char *const expected =
		"INBOX next=4: 1/8/23/ 3/0/0/\n"
		"Other next=3: 1/0/23/ 2/0/28/\n";
	struct test_mail_storage_ctx *ctx;
	unsigned int i;

	test_begin("plugins around real storage");
	ctx = test_mail_storage_init();
	for (i = 0; i < N_ELEMENTS(drivers); i++) T_BEGIN {
		test_assert_strcmp_idx(run_session(ctx, drivers[i]),
				       expected, i);
	} T_END;
	plugins_load();
	for (i = 0; i < N_ELEMENTS(drivers); i++) T_BEGIN {
		test_assert_strcmp_idx(run_session(ctx, drivers[i]),
				       expected, i);
	} T_END;
	module_dir_deinit(modules);
	test_mail_storage_deinit(&ctx);
	module_dir_unload(&modules);
	test_end();
}

int main(int argc, char **argv)
{
	static void (*const tests[])(void) = {
		test_plugins,
		NULL
	};

	/* the name by which the plugins know that this may be a migration */
	return storage_test_main("doveadm", tests, argc, argv);
}
