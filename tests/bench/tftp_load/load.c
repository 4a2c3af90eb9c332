/*
 * A rack that is switched on at once: many TFTP clients in one epoll loop, each with an address of its own.
 *
 *   load HOST PORT NAME CONTENT --count N --blksize B [--windowsize W] [--loss PERCENT] [--seed S] [--within SECONDS]
 *        [--cpu N]
 *
 * Every block is compared, byte for byte, with the file CONTENT, whose SHA-256 the caller has checked. A client behaves
 * as iPXE does: it repeats what it said last after 250 ms without news, and doubles that up to 10 s; news start it anew.
 * With a window it acknowledges (RFC 7440) the last block of each window, and at once, but once, where there is a gap.
 * Losses are drawn from a generator of its own per client, so that the same seed loses the same packets of the same
 * conversation; a lost packet of the server's is read and forgotten, one of ours is not sent.
 *
 * Prints one line of JSON. It is C because Python would be slower than the servers that it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum { BATCH = 32, PACKET = 9000, SAID = 512 };
#define REPEAT_FIRST_S 0.25
#define REPEAT_MOST_S 10.0
#define LOOK_AT_TIMERS_S 0.01

struct client {
    int fd;
    int connected; /* to the server's transfer ID, which its first answer told */
    int ended;
    int gap_told;
    uint32_t last; /* blocks received in order */
    uint32_t since; /* of them, since the last acknowledgement */
    uint32_t blksize, windowsize;
    uint64_t chance;
    double repeat_at, repeat_after, took;
    size_t length;
    unsigned char said[SAID];
};

static struct sockaddr_in server;
static const unsigned char *content;
static size_t content_size;
static uint32_t wanted_blksize = 1468, wanted_window = 1;
static uint64_t loss_bound; /* a draw below it is a loss */
static unsigned long finished, refused, wrong, repeats, lost, doubled;
static unsigned long long received;
static char refusal[80];
static double began;

static double now_s(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static int chance_says_lost(struct client *client) { /* splitmix64 */
    if (!loss_bound) return 0;
    uint64_t z = (client->chance += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    if ((z ^ (z >> 31)) >= loss_bound) return 0;
    lost++;
    return 1;
}

static void transmit(struct client *client) {
    if (chance_says_lost(client)) return;
    /* A full buffer, or an ICMP of a server that has ended, is a lost packet: the timer knows what to do. */
    ssize_t sent = client->connected
        ? send(client->fd, client->said, client->length, 0)
        : sendto(client->fd, client->said, client->length, 0, (struct sockaddr *)&server, sizeof server);
    (void)sent;
}

static void acknowledge(struct client *client, double now) {
    client->said[0] = 0;
    client->said[1] = ACK;
    client->said[2] = client->last >> 8;
    client->said[3] = client->last;
    client->length = 4;
    client->since = 0;
    client->repeat_after = REPEAT_FIRST_S;
    client->repeat_at = now + REPEAT_FIRST_S;
    transmit(client);
}

static void end(struct client *client, double now) {
    client->ended = 1;
    client->took = now - began;
    close(client->fd);
}

static void take_options(struct client *client, const unsigned char *packet, size_t size) {
    const char *word = (const char *)packet + 2, *limit = (const char *)packet + size;
    while (word < limit) {
        const char *value = word + strnlen(word, limit - word) + 1;
        if (value >= limit) break;
        if (!strcasecmp(word, "blksize")) client->blksize = atoi(value);
        if (!strcasecmp(word, "windowsize")) client->windowsize = atoi(value);
        word = value + strnlen(value, limit - value) + 1;
    }
}

static void take_block(struct client *client, const unsigned char *packet, size_t size, double now) {
    uint16_t number = packet[2] << 8 | packet[3];
    if (number != (uint16_t)(client->last + 1)) {
        doubled += (uint16_t)(client->last - number) < 0x8000;
        /* Lock-step: our acknowledgement was lost. In a window: a gap, to be told once; what is old is old. */
        if (client->windowsize == 1) {
            acknowledge(client, now);
        } else if ((uint16_t)(number - client->last) < 0x8000 && number != (uint16_t)client->last && !client->gap_told) {
            client->gap_told = 1;
            acknowledge(client, now);
        }
        return;
    }
    size_t offset = (size_t)client->last * client->blksize, length = size - 4;
    if (offset + length > content_size || memcmp(content + offset, packet + 4, length)) {
        wrong++;
        end(client, now);
        return;
    }
    client->last++;
    client->since++;
    client->gap_told = 0;
    received += length;
    client->repeat_at = now + client->repeat_after;
    if (length < client->blksize) {
        acknowledge(client, now);
        if (offset + length == content_size) finished++;
        else wrong++;
        end(client, now);
    } else if (client->since >= client->windowsize) {
        acknowledge(client, now);
    }
}

static void take(struct client *client, const unsigned char *packet, size_t size, double now) {
    if (size < 4 || client->ended || chance_says_lost(client)) return;
    switch (packet[1]) {
    case DATA:
        take_block(client, packet, size, now);
        break;
    case OACK:
        if (client->last) break;
        take_options(client, packet, size);
        acknowledge(client, now);
        break;
    case ERROR:
        refused++;
        if (!refusal[0])
            for (size_t at = 4; at < size && packet[at] && at < sizeof refusal; at++)
                refusal[at - 4] = packet[at] < ' ' || packet[at] > '~' || strchr("\"\\", packet[at]) ? '?' : packet[at];
        end(client, now);
        break;
    }
}

static void hear_first(struct client *client, double now) {
    unsigned char packet[PACKET];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t size = recvfrom(client->fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &length);
    if (size < 4) return;
    if (connect(client->fd, (struct sockaddr *)&from, sizeof from) == 0) client->connected = 1;
    take(client, packet, size, now);
}

static void hear(struct client *client, double now) {
    static unsigned char packets[BATCH][PACKET];
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    if (!client->connected) {
        hear_first(client, now);
        return;
    }
    if (wanted_window == 1) {
        ssize_t size = recv(client->fd, packets[0], PACKET, 0);
        if (size > 0) take(client, packets[0], size, now);
        return;
    }
    for (int index = 0; index < BATCH; index++) {
        pieces[index] = (struct iovec){packets[index], PACKET};
        messages[index] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[index], .msg_iovlen = 1}};
    }
    int count = recvmmsg(client->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int index = 0; index < count; index++) take(client, packets[index], messages[index].msg_len, now);
}

static void ask(struct client *client, const char *name) {
    char *at = (char *)client->said;
    char *limit = at + SAID;
    *at++ = 0;
    *at++ = RRQ;
    at += snprintf(at, limit - at, "%s", name) + 1;
    at += snprintf(at, limit - at, "octet") + 1;
    at += snprintf(at, limit - at, "blksize") + 1;
    at += snprintf(at, limit - at, "%u", wanted_blksize) + 1;
    if (wanted_window > 1) {
        at += snprintf(at, limit - at, "windowsize") + 1;
        at += snprintf(at, limit - at, "%u", wanted_window) + 1;
    }
    client->length = at - (char *)client->said;
    client->repeat_after = REPEAT_FIRST_S;
    client->repeat_at = now_s() + REPEAT_FIRST_S;
    transmit(client);
}

static void repeat(struct client *client, double now) {
    repeats++;
    client->repeat_after *= 2;
    if (client->repeat_after > REPEAT_MOST_S) client->repeat_after = REPEAT_MOST_S;
    client->repeat_at = now + client->repeat_after;
    client->gap_told = 0;
    transmit(client);
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

static void read_content(const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) < 0) die(path);
    content_size = status.st_size;
    content = mmap(NULL, content_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (content == MAP_FAILED) die("mmap");
}

static void stay_on(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) perror("--cpu"); /* a wish: it measures all the same */
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    unsigned long count = 100;
    double within = 60, loss = 0;
    uint64_t seed = 1;
    if (argc < 5) {
        fprintf(stderr, "load HOST PORT NAME CONTENT [--count N] [--blksize B] [--windowsize W] [--loss PERCENT] "
                        "[--seed S] [--within SECONDS] [--cpu N]\n");
        return 2;
    }
    for (int index = 5; index + 1 < argc; index += 2) {
        const char *option = argv[index], *value = argv[index + 1];
        if (!strcmp(option, "--count")) count = strtoul(value, NULL, 10);
        else if (!strcmp(option, "--blksize")) wanted_blksize = atoi(value);
        else if (!strcmp(option, "--windowsize")) wanted_window = atoi(value);
        else if (!strcmp(option, "--loss")) loss = atof(value);
        else if (!strcmp(option, "--seed")) seed = strtoull(value, NULL, 10);
        else if (!strcmp(option, "--within")) within = atof(value);
        else if (!strcmp(option, "--cpu")) stay_on(atoi(value));
        else {
            fprintf(stderr, "unknown option %s\n", option);
            return 2;
        }
    }
    if (wanted_blksize + 4 > PACKET || strlen(argv[3]) > 200) {
        fprintf(stderr, "blocks of up to %d bytes, names of up to 200\n", PACKET - 4);
        return 2;
    }
    loss_bound = (uint64_t)(loss / 100 * 18446744073709551615.0);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) die("HOST");
    read_content(argv[4]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    struct client *clients = calloc(count, sizeof *clients);
    int epoll = epoll_create1(0);
    for (unsigned long index = 0; index < count; index++) {
        struct client *client = &clients[index];
        client->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (client->fd < 0) die("socket");
        struct sockaddr_in own = {.sin_family = AF_INET};
        own.sin_addr.s_addr = htonl(0x7f640001 + index); /* 127.100.0.1 and so on */
        if (bind(client->fd, (struct sockaddr *)&own, sizeof own) < 0) die("bind");
        client->blksize = 512;
        client->windowsize = 1;
        client->chance = seed * 0x2545f4914f6cdd1dULL + index * 0x9e3779b97f4a7c15ULL * 977;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
    }
    began = now_s();
    for (unsigned long index = 0; index < count; index++) ask(&clients[index], argv[3]);

    double looked = began, now = began, last = began;
    static struct epoll_event events[1024];
    while (finished + refused + wrong < count && now - began < within) {
        int ready = epoll_wait(epoll, events, 1024, 10);
        now = now_s();
        unsigned long before = finished + refused + wrong;
        for (int index = 0; index < ready; index++) {
            struct client *client = events[index].data.ptr;
            if (!client->ended) hear(client, now);
        }
        if (finished + refused + wrong != before) last = now;
        if (now - looked < LOOK_AT_TIMERS_S) continue;
        looked = now;
        for (unsigned long index = 0; index < count; index++)
            if (!clients[index].ended && clients[index].repeat_at <= now) repeat(&clients[index], now);
    }

    double *took = calloc(count + 1, sizeof *took);
    unsigned long ended = 0;
    for (unsigned long index = 0; index < count; index++)
        if (clients[index].ended) took[ended++] = clients[index].took;
    qsort(took, ended, sizeof *took, by_value);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"finished\": %lu, \"refused\": %lu, \"wrong\": %lu, \"unfinished\": %lu, \"bytes\": %llu, "
           "\"seconds\": %.6f, \"p50_s\": %.6f, \"p99_s\": %.6f, \"repeats\": %lu, \"lost\": %lu, \"doubled\": %lu, \"cpu_s\": %.6f, "
           "\"refusal\": \"%s\"}\n",
           finished, refused, wrong, count - finished - refused - wrong, received, last - began,
           ended ? took[ended / 2] : 0.0, ended ? took[ended * 99 / 100] : 0.0, repeats, lost, doubled, cpu, refusal);
    return 0;
}
