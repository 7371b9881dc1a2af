/* Stops a process at an exact change of its files: preloaded into a command, it counts the calls that change
 * something below CHAOS_ROOT, in all processes of the command together, and at number CHAOS_AT
 *   CHAOS_ACTION=kill  kills the process group, before the change is made;
 *   CHAOS_ACTION=full  lets this call and all later ones that need room fail with ENOSPC.
 * CHAOS_AT=0 only counts. Paths that contain CHAOS_EXCEPT are left alone. With CHAOS_SENDS what is sent through
 * sockets is counted instead. The count is kept in the file CHAOS_COUNT, 8 bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *root, *except;
static long at, *count;
static int full, sends;

/* Read the environment anew; a forked child calls it once it has its own. */
__attribute__((constructor)) void chaos_arm(void) {
    const char *file = getenv("CHAOS_COUNT"), *action = getenv("CHAOS_ACTION");
    root = getenv("CHAOS_ROOT");
    except = getenv("CHAOS_EXCEPT");
    at = getenv("CHAOS_AT") ? atol(getenv("CHAOS_AT")) : 0;
    full = action && strcmp(action, "full") == 0;
    sends = getenv("CHAOS_SENDS") != NULL;
    count = NULL;
    if (!file || !root) return;
    int own = NEXT(open)(file, O_RDWR);
    void *shared = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
    close(own);
    if (shared != MAP_FAILED) count = shared;
}

/* Whether `path`, relative to the open folder `from`, is watched. */
static int watched(int from, const char *path) {
    char whole[8192], link[64];
    ssize_t length = 0;
    if (!count || sends || !path) return 0;
    if (path[0] != '/') {
        snprintf(link, sizeof link, from == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", from);
        length = readlink(link, whole, 4000);
        if (length < 0) return 0;
        whole[length++] = '/';
    }
    snprintf(whole + length, sizeof whole - length, "%s", path);
    return strncmp(whole, root, strlen(root)) == 0 && !(except && strstr(whole, except));
}

static int watched_file(int file) {
    char link[64], path[4096];
    if (!count || sends) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return path[0] == '/' && watched(AT_FDCWD, path);
}

/* Count a change; whether it has to fail. */
static int refused(int is_watched, int needs_room) {
    if (!is_watched) return 0;
    long now = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    if (at && !full && now == at) {
        kill(0, SIGKILL);
        pause();
    }
    if (!(at && full && now >= at && needs_room)) return 0;
    errno = ENOSPC;
    return 1;
}

static int refused_open(int from, const char *path, int flags) {
    if (!(flags & (O_CREAT | O_TRUNC)) || !watched(from, path)) return 0;
    return refused(1, faccessat(from, path, F_OK, 0) != 0);
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list more;                                               \
        va_start(more, flags);                                      \
        mode_t mode = va_arg(more, mode_t);                         \
        va_end(more);                                               \
        if (refused_open(AT_FDCWD, path, flags)) return -1;         \
        return NEXT(name)(path, flags, mode);                       \
    }
#define OPENAT(name)                                                \
    int name(int from, const char *path, int flags, ...) {          \
        va_list more;                                               \
        va_start(more, flags);                                      \
        mode_t mode = va_arg(more, mode_t);                         \
        va_end(more);                                               \
        if (refused_open(from, path, flags)) return -1;             \
        return NEXT(name)(from, path, flags, mode);                 \
    }
#define FOPEN(name)                                                                                     \
    FILE *name(const char *path, const char *mode) {                                                    \
        if (mode[0] != 'r' && refused_open(AT_FDCWD, path, O_CREAT)) return NULL;                       \
        return NEXT(name)(path, mode);                                                                  \
    }
#define CALL(type, name, parameters, arguments, is_watched, needs_room)       \
    type name parameters {                                                    \
        if (refused(is_watched, needs_room)) return -1;                       \
        return NEXT(name) arguments;                                          \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
CALL(ssize_t, write, (int f, const void *b, size_t n), (f, b, n), watched_file(f), 1)
CALL(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), (f, b, n, o), watched_file(f), 1)
CALL(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o), watched_file(f), 1)
CALL(ssize_t, writev, (int f, const struct iovec *v, int n), (f, v, n), watched_file(f), 1)
CALL(ssize_t, copy_file_range, (int i, off64_t *a, int o, off64_t *b, size_t n, unsigned f), (i, a, o, b, n, f), watched_file(o), 1)
CALL(ssize_t, sendfile, (int o, int i, off_t *a, size_t n), (o, i, a, n), watched_file(o), 1)
CALL(ssize_t, sendfile64, (int o, int i, off64_t *a, size_t n), (o, i, a, n), watched_file(o), 1)
CALL(int, ftruncate, (int f, off_t n), (f, n), watched_file(f), 0)
CALL(int, ftruncate64, (int f, off64_t n), (f, n), watched_file(f), 0)
CALL(int, fsync, (int f), (f), watched_file(f), 0)
CALL(int, fdatasync, (int f), (f), watched_file(f), 0)
CALL(int, rename, (const char *a, const char *b), (a, b), watched(AT_FDCWD, b), 0)
CALL(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), watched(e, b), 0)
CALL(int, renameat2, (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f), watched(e, b), 0)
CALL(int, link, (const char *a, const char *b), (a, b), watched(AT_FDCWD, b), 1)
CALL(int, symlink, (const char *a, const char *b), (a, b), watched(AT_FDCWD, b), 1)
CALL(int, unlink, (const char *a), (a), watched(AT_FDCWD, a), 0)
CALL(int, unlinkat, (int d, const char *a, int f), (d, a, f), watched(d, a), 0)
CALL(int, rmdir, (const char *a), (a), watched(AT_FDCWD, a), 0)
CALL(int, mkdir, (const char *a, mode_t m), (a, m), watched(AT_FDCWD, a), 1)
CALL(int, mkdirat, (int d, const char *a, mode_t m), (d, a, m), watched(d, a), 1)
CALL(ssize_t, send, (int s, const void *b, size_t n, int f), (s, b, n, f), count && sends, 0)
