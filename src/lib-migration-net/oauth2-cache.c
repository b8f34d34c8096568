/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "hex-binary.h"
#include "mkdir-parents.h"
#include "safe-memset.h"
#include "sha2.h"
#include "str.h"
#include "oauth2-file.h"
#include "oauth2-cache.h"

#include <unistd.h>
#include <sys/stat.h>

/* of the key's hash; enough to never meet */
#define NAME_BYTES 16

struct migration_oauth2_cache {
	char *path;
	int lock_fd;
};

static int check_dir(const char *dir, const char **error_r)
{
	struct stat st;

	if (mkdir_parents(dir, 0700) < 0 && errno != EEXIST) {
		*error_r = t_strdup_printf("mkdir(%s) failed: %m", dir);
		return -1;
	}
	if (stat(dir, &st) < 0) {
		*error_r = t_strdup_printf("stat(%s) failed: %m", dir);
		return -1;
	}
	if ((st.st_mode & 022) != 0) {
		*error_r = t_strdup_printf("others can write to %s: "
					   "chmod 700 it", dir);
		return -1;
	}
	return 0;
}

int migration_oauth2_cache_lock(const char *dir, const char *key,
				unsigned int timeout_secs,
				struct migration_oauth2_cache **cache_r,
				const char **error_r)
{
	struct migration_oauth2_cache *cache;
	unsigned char digest[SHA256_RESULTLEN];
	const char *path;
	int fd, ret;

	if (check_dir(dir, error_r) < 0)
		return -1;
	sha256_get_digest(key, strlen(key), digest);
	path = t_strdup_printf("%s/%s", dir,
			       binary_to_hex(digest, NAME_BYTES));
	ret = migration_oauth2_file_lock(t_strconcat(path, ".lock", NULL), TRUE,
					 timeout_secs, &fd, error_r);
	if (ret <= 0)
		return ret;
	cache = i_new(struct migration_oauth2_cache, 1);
	cache->path = i_strconcat(path, ".token", NULL);
	cache->lock_fd = fd;
	*cache_r = cache;
	return 1;
}

void migration_oauth2_cache_unlock(struct migration_oauth2_cache **_cache)
{
	struct migration_oauth2_cache *cache = *_cache;

	if (cache == NULL)
		return;
	*_cache = NULL;
	i_close_fd(&cache->lock_fd);
	i_free(cache->path);
	i_free(cache);
}

int migration_oauth2_cache_read(struct migration_oauth2_cache *cache,
				pool_t pool,
				struct migration_oauth2_cache_entry *entry_r,
				const char **error_r)
{
	struct stat st;
	const char *text;

	if (stat(cache->path, &st) < 0 && errno == ENOENT)
		return 0;
	if (migration_oauth2_file_read(pool, cache->path, &text, error_r) < 0)
		return -1;
	return migration_oauth2_cache_parse(pool, text, entry_r) ? 1 : 0;
}

int migration_oauth2_cache_write(struct migration_oauth2_cache *cache,
				 const struct migration_oauth2_cache_entry *entry,
				 const char **error_r)
{
	string_t *text = t_str_new(4096);
	int ret;

	migration_oauth2_cache_append(text, entry);
	ret = migration_oauth2_file_write(cache->path, str_c(text), error_r);
	safe_memset(str_c_modifiable(text), 0, str_len(text));
	return ret;
}
