// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The backing-race load, as small as it can be in C: the rate that the guest agent's has to reach.
 *
 * 3 threads answer FUSE requests, 2 register and remove backing ids, 3 open, read and close.
 * usage: race SECONDS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SERVERS = 3, CHURNERS = 2, OPENERS = 3, SLOTS = 64, FILES = 512 };
enum { LOOKUP = 1, FORGET = 2, GETATTR = 3, OPEN = 14, RELEASE = 18, FLUSH = 25, INIT = 26, BATCH_FORGET = 42 };
#define FOPEN_PASSTHROUGH (1u << 7)
#define INIT_EXT (1u << 30)
#define PASSTHROUGH_HI (1u << 5)

struct in_header { uint32_t len, opcode; uint64_t unique, nodeid; uint32_t uid, gid, pid, pad; };
struct out_header { uint32_t len; int32_t error; uint64_t unique; };
struct attr { uint64_t ino, size, blocks, at, mt, ct; uint32_t ans, mns, cns, mode, nlink, uid, gid, rdev, blksize, flags; };
struct entry { uint64_t nodeid, gen, entry_valid, attr_valid; uint32_t evn, avn; struct attr attr; };
struct attr_out { uint64_t valid; uint32_t nsec, pad; struct attr attr; };
struct open_out { uint64_t fh; uint32_t flags; int32_t backing_id; };
struct init_out {
	uint32_t major, minor, readahead, flags;
	uint16_t background, congestion;
	uint32_t max_write, time_gran;
	uint16_t max_pages, align;
	uint32_t flags2, max_stack_depth;
	uint32_t unused[6];
};
struct backing_map { int32_t fd; uint32_t flags; uint64_t padding; };
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

static int fuse, backing;
static atomic_int slots[SLOTS];
static atomic_ulong lookups, misses, removes, enoents, registers;
static atomic_bool ready, done;

static struct attr attr_of(uint64_t node)
{
	int root = node == 1;

	return (struct attr){ .ino = node, .size = root ? 0 : 8, .nlink = 1, .blksize = 4096,
			      .mode = root ? S_IFDIR | 0755 : S_IFREG | 0644 };
}

static void answer(uint64_t unique, int error, const void *body, size_t len)
{
	struct out_header head = { sizeof(head) + len, error, unique };
	struct iovec parts[2] = { { &head, sizeof(head) }, { (void *)body, len } };

	if (writev(fuse, parts, len ? 2 : 1) < 0 && errno != ENOENT)
		perror("answer");
}

static void *serve(void *arg)
{
	unsigned seed = (uintptr_t)arg;
	char buffer[1 << 17];

	for (;;) {
		ssize_t n = read(fuse, buffer, sizeof(buffer));
		struct in_header *in = (void *)buffer;

		if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n < (ssize_t)sizeof(*in))
			return NULL;
		switch (in->opcode) {
		case INIT: {
			struct init_out out = { .major = 7, .minor = 45, .flags = INIT_EXT, .max_write = 65536,
						.time_gran = 1, .flags2 = PASSTHROUGH_HI, .max_stack_depth = 1 };
			answer(in->unique, 0, &out, sizeof(out));
			ready = 1;
			break;
		}
		case LOOKUP: {
			uint64_t node = 2 + strtoul(buffer + sizeof(*in), NULL, 10);
			struct entry out = { .nodeid = node, .entry_valid = 3600, .attr_valid = 3600, .attr = attr_of(node) };
			answer(in->unique, 0, &out, sizeof(out));
			break;
		}
		case GETATTR: {
			struct attr_out out = { .valid = 3600, .attr = attr_of(in->nodeid) };
			answer(in->unique, 0, &out, sizeof(out));
			break;
		}
		case OPEN: {
			struct open_out out = { .flags = FOPEN_PASSTHROUGH, .backing_id = slots[rand_r(&seed) % SLOTS] };
			answer(in->unique, 0, &out, sizeof(out));
			break;
		}
		case RELEASE: case FLUSH:
			answer(in->unique, 0, NULL, 0);
			break;
		case FORGET: case BATCH_FORGET:
			break;
		default:
			answer(in->unique, -ENOSYS, NULL, 0);
		}
	}
}

static int add(void)
{
	struct backing_map map = { .fd = backing };
	int id = ioctl(fuse, BACKING_OPEN, &map);

	if (id > 0)
		registers++;
	return id;
}

static void *churn(void *arg)
{
	unsigned seed = 100 + (uintptr_t)arg;

	while (!done) {
		int slot = rand_r(&seed) % SLOTS;
		uint32_t id = slots[slot];

		if (ioctl(fuse, BACKING_CLOSE, &id) == 0)
			removes++;
		else if (errno == ENOENT)
			enoents++;
		slots[slot] = add();
	}
	return NULL;
}

static void *open_close(void *arg)
{
	unsigned first = (uintptr_t)arg, n = 0;
	char path[64], stamp[8];

	while (!done) {
		snprintf(path, sizeof(path), "/tmp/race/m/%u", (n++ * OPENERS + first) % FILES);
		int fd = open(path, O_RDONLY);

		if (fd < 0) {
			misses++;
			continue;
		}
		if (read(fd, stamp, sizeof(stamp)) == sizeof(stamp))
			lookups++;
		close(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? atoi(argv[1]) : 20;
	pthread_t servers[SERVERS], workers[CHURNERS + OPENERS];
	char options[64];
	uintptr_t i;

	mkdir("/tmp/race", 0755);
	mkdir("/tmp/race/m", 0755);
	backing = open("/tmp/race/backing", O_RDWR | O_CREAT, 0644);
	fuse = open("/dev/fuse", O_RDWR);
	if (backing < 0 || fuse < 0 || write(backing, "12345678", 8) != 8) {
		perror("setup");
		return 1;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (mount("race", "/tmp/race/m", "fuse", MS_NOSUID | MS_NODEV, options)) {
		perror("mount");
		return 1;
	}
	for (i = 0; i < SERVERS; i++)
		pthread_create(&servers[i], NULL, serve, (void *)i);
	while (!ready)
		usleep(1000);
	/* The answer to INIT is still being processed: ids may be refused at first. */
	for (i = 0; i < SLOTS; i++)
		while ((slots[i] = add()) <= 0)
			usleep(1000);
	removes = enoents = registers = 0;
	for (i = 0; i < CHURNERS; i++)
		pthread_create(&workers[i], NULL, churn, (void *)i);
	for (i = 0; i < OPENERS; i++)
		pthread_create(&workers[CHURNERS + i], NULL, open_close, (void *)i);
	sleep(seconds);
	done = 1;
	for (i = 0; i < CHURNERS + OPENERS; i++)
		pthread_join(workers[i], NULL);
	printf("lookups %lu misses %lu removes %lu enoents %lu registers %lu seconds %u\n",
	       lookups, misses, removes, enoents, registers, seconds);
	fflush(stdout);
	umount2("/tmp/race/m", MNT_DETACH);
	_exit(lookups && removes ? 0 : 1);
}
