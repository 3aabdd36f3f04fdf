/* Telephones for the relay: RTP_LOAD CALLS SECONDS, on 127.0.0.6.

   Prints the ports of two telephones a call ("ports P P P ..."), reads as many ports of the relay (in the same
   order: where each telephone sends), then every telephone sends 172 octets every 20 ms, spread evenly over the
   20 ms, and takes what comes. Four times a second: "TIME_NS SENT RECEIVED". At the end, after 300 ms of silence:
   "end SENT RECEIVED P50_US P99_US MAX_US LATE": the delay through the relay, and rounds sent more than 5 ms late. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_NS = 20000000, SLOTS = 40, SIZE = 172, BUCKETS = 100000 /* of 1 us */ };

struct telephone {
    int fd;
    uint16_t sequence;
    uint32_t timestamp, source;
};

static uint64_t sent, received, delays[BUCKETS], longest;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void speak(struct telephone *t)
{
    unsigned char packet[SIZE] = {0x80, 8};
    uint16_t sequence = htons(t->sequence++);
    uint32_t timestamp = htonl(t->timestamp), source = htonl(t->source);
    uint64_t at = now();
    t->timestamp += 160;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &timestamp, 4);
    memcpy(packet + 8, &source, 4);
    memset(packet + 12, 0xd5, SIZE - 12);
    memcpy(packet + 12, &at, 8);
    if (send(t->fd, packet, SIZE, MSG_DONTWAIT) == SIZE)
        sent++;
}

static void listen_to(int fd)
{
    unsigned char packet[2048];
    ssize_t size;
    while ((size = recv(fd, packet, sizeof packet, MSG_DONTWAIT)) >= 0) {
        uint64_t at, delay;
        if (size != SIZE)
            continue;
        memcpy(&at, packet + 12, 8);
        delay = (now() - at) / 1000;
        received++;
        delays[delay < BUCKETS ? delay : BUCKETS - 1]++;
        if (delay > longest)
            longest = delay;
    }
}

static void take_until(int poll, uint64_t until)
{
    struct epoll_event ready[256];
    for (;;) {
        uint64_t at = now();
        struct timespec left = {0, at < until ? (long)(until - at) : 0};
        int count = epoll_pwait2(poll, ready, 256, &left, NULL);
        for (int i = 0; i < count; i++)
            listen_to(ready[i].data.fd);
        if (count <= 0 && now() >= until)
            return;
        if (now() >= until + PERIOD_NS / SLOTS)
            return; /* the sending must not wait for an endless stream */
    }
}

static uint64_t share(double part)
{
    uint64_t count = 0, all = 0;
    for (int i = 0; i < BUCKETS; i++)
        all += delays[i];
    for (int i = 0; i < BUCKETS; i++)
        if ((count += delays[i]) >= (uint64_t)((double)all * part) && count)
            return (uint64_t)i;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
    int count = 2 * atoi(argv[1]), poll = epoll_create1(0);
    double seconds = atof(argv[2]);
    struct telephone *telephones = calloc((size_t)count, sizeof *telephones);
    struct sockaddr_in address = {.sin_family = AF_INET};
    printf("ports");
    for (int i = 0; i < count; i++) {
        socklen_t size = sizeof address;
        int room = 1 << 20;
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        address.sin_port = 0;
        address.sin_addr.s_addr = inet_addr("127.0.0.6");
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address))
            fail("bind");
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        getsockname(fd, (struct sockaddr *)&address, &size);
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
        telephones[i] = (struct telephone){fd, 0, 0, (uint32_t)i + 1};
        printf(" %d", ntohs(address.sin_port));
    }
    printf("\n");
    fflush(stdout);
    char host[64];
    if (scanf("%63s", host) != 1)
        return 2;
    for (int i = 0; i < count; i++) {
        int port;
        if (scanf("%d", &port) != 1)
            return 2;
        address.sin_port = htons((uint16_t)port);
        address.sin_addr.s_addr = inet_addr(host);
        if (connect(telephones[i].fd, (struct sockaddr *)&address, sizeof address))
            fail("connect");
    }
    uint64_t begin = now(), late = 0, rounds = (uint64_t)(seconds * 1e9 / PERIOD_NS);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t slot = 0; slot < SLOTS; slot++) {
            uint64_t due = begin + round * PERIOD_NS + slot * (PERIOD_NS / SLOTS);
            take_until(poll, due);
            late += now() > due + 5000000;
            for (int i = (int)slot; i < count; i += SLOTS)
                speak(&telephones[i]);
        }
        if (round % 13 == 12) {
            printf("%llu %llu %llu\n", (unsigned long long)now(), (unsigned long long)sent, (unsigned long long)received);
            fflush(stdout);
        }
    }
    take_until(poll, now() + 300000000);
    printf("end %llu %llu %llu %llu %llu %llu\n", (unsigned long long)sent, (unsigned long long)received,
           (unsigned long long)share(0.5), (unsigned long long)share(0.99), (unsigned long long)longest,
           (unsigned long long)late);
    return 0;
}
