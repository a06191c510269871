/* Notes every change that a process makes to files under WAVEMQ_TEST_ROOT in WAVEMQ_TEST_LOG, in order:
 * one byte of kind, the path behind the root, an offset, and bytes. LD_PRELOAD this. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *root;
static int log_file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WAVEMQ_TEST_LOG");
    root = getenv("WAVEMQ_TEST_ROOT");
    if (path != NULL && root != NULL)
        log_file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        long written = syscall(SYS_write, log_file, at, size);
        if (written <= 0) abort();
        at += written;
        size -= (size_t)written;
    }
}

/* Returns what of a path is behind the root; NULL if it is elsewhere. */
static const char *inside(const char *path) {
    size_t length = root == NULL ? 0 : strlen(root);
    return log_file >= 0 && strncmp(path, root, length) == 0 ? path + length : NULL;
}

static void note(char kind, const char *path, uint64_t offset, const void *bytes, uint32_t size) {
    uint16_t path_size = (uint16_t)strlen(path);
    pthread_mutex_lock(&lock);
    put(&kind, 1);
    put(&path_size, sizeof path_size);
    put(path, path_size);
    put(&offset, sizeof offset);
    put(&size, sizeof size);
    put(bytes, size);
    pthread_mutex_unlock(&lock);
}

static void note_file(char kind, int file, uint64_t offset, const void *bytes, size_t size) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    const char *name = inside(path);
    if (name != NULL) note(kind, name, offset, bytes, (uint32_t)size);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) {
    ssize_t written = REAL(pwrite64)(file, bytes, size, offset);
    if (written > 0) note_file('w', file, (uint64_t)offset, bytes, (size_t)written);
    return written;
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    return pwrite64(file, bytes, size, offset);
}

ssize_t write(int file, const void *bytes, size_t size) {
    off_t offset = lseek(file, 0, SEEK_CUR);
    ssize_t written = REAL(write)(file, bytes, size);
    if (written > 0 && offset >= 0) note_file('w', file, (uint64_t)offset, bytes, (size_t)written);
    return written;
}

int ftruncate64(int file, off64_t size) {
    int result = REAL(ftruncate64)(file, size);
    if (result == 0) note_file('t', file, (uint64_t)size, "", 0);
    return result;
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

int fsync(int file) {
    int result = REAL(fsync)(file);
    if (result == 0) note_file('s', file, 0, "", 0);
    return result;
}

int fdatasync(int file) {
    int result = REAL(fdatasync)(file);
    if (result == 0) note_file('s', file, 0, "", 0);
    return result;
}

int rename(const char *from, const char *to) {
    int result = REAL(rename)(from, to);
    const char *old = inside(from), *new = inside(to);
    if (result == 0 && old != NULL && new != NULL) note('r', old, 0, new, (uint32_t)strlen(new));
    return result;
}

int unlink(const char *path) {
    int result = REAL(unlink)(path);
    const char *name = inside(path);
    if (result == 0 && name != NULL) note('u', name, 0, "", 0);
    return result;
}

static int note_open(int file, int flags) {
    if (file >= 0 && (flags & O_TRUNC)) note_file('t', file, 0, "", 0);
    return file;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return note_open(REAL(open64)(path, flags, mode), flags);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return note_open(REAL(open)(path, flags, mode), flags);
}
