/* netdevice(7), getifaddrs(3), if_nameindex(3): the loopback, as every network has it. IPv4 and the link's own
 * addresses are looked at. */
#include "api.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>

static const char *text(const void *sockaddr) {
    return inet_ntoa(((const struct sockaddr_in *)sockaddr)->sin_addr);
}

static void list(void) {
    struct ifaddrs *all, *at;
    printf("getifaddrs %d\n", getifaddrs(&all));
    for (at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr || strcmp(at->ifa_name, "lo") != 0) continue;
        if (at->ifa_addr->sa_family == AF_PACKET) {
            const struct sockaddr_ll *link = (const void *)at->ifa_addr;
            printf("link %s flags %#x index %d type %d length %d\n", at->ifa_name, at->ifa_flags, link->sll_ifindex,
                   link->sll_hatype, link->sll_halen);
        }
        if (at->ifa_addr->sa_family == AF_INET) {
            printf("address %s", text(at->ifa_addr));
            printf(" mask %s", text(at->ifa_netmask));
            printf(" far %s\n", text(at->ifa_dstaddr));
        }
    }
    freeifaddrs(all);
}

static void ask(int fd, const char *what, unsigned long request, const char *name) {
    struct ifreq asked;
    memset(&asked, 0, sizeof asked);
    strcpy(asked.ifr_name, name);
    errno = 0;
    int result = ioctl(fd, request, &asked);
    printf("%s %s %d errno %d", what, name, result, errno);
    const unsigned char *bytes = (const void *)&asked.ifr_ifru;
    int i;
    for (i = 0; result == 0 && i < 8; i++) printf(" %02x", bytes[i]);
    printf("\n");
}

int main(void) {
    char name[IF_NAMESIZE] = "";
    struct if_nameindex *names, *at;
    struct ifreq room[8];
    struct ifconf conf;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    list();
    printf("index %u\n", if_nametoindex("lo"));
    printf("name %s\n", if_indextoname(1, name) ? name : "none");
    errno = 0;
    printf("no index %u", if_nametoindex("none0"));
    printf(" errno %d\n", errno);
    errno = 0;
    printf("no name %d", if_indextoname(4711, name) == NULL);
    printf(" errno %d\n", errno);
    names = if_nameindex();
    for (at = names; at && at->if_index; at++) {
        if (strcmp(at->if_name, "lo") == 0) printf("%u is %s\n", at->if_index, at->if_name);
    }
    if_freenameindex(names);

    ask(fd, "address", SIOCGIFADDR, "lo");
    ask(fd, "alias", SIOCGIFADDR, "lo:1");
    ask(fd, "mask", SIOCGIFNETMASK, "lo");
    ask(fd, "broadcast", SIOCGIFBRDADDR, "lo");
    ask(fd, "far", SIOCGIFDSTADDR, "lo");
    ask(fd, "flags", SIOCGIFFLAGS, "lo");
    ask(fd, "mtu", SIOCGIFMTU, "lo");
    ask(fd, "hardware", SIOCGIFHWADDR, "lo");
    ask(fd, "index", SIOCGIFINDEX, "lo");
    ask(fd, "metric", SIOCGIFMETRIC, "lo");
    ask(fd, "none", SIOCGIFADDR, "none0");
    ask(fd, "none", SIOCGIFINDEX, "none0");
    memset(room, 0, sizeof room);
    room[0].ifr_ifindex = 1;
    printf("SIOCGIFNAME %d", ioctl(fd, SIOCGIFNAME, room));
    printf(" %s\n", room[0].ifr_name);

    conf.ifc_len = sizeof room;
    conf.ifc_req = room;
    printf("SIOCGIFCONF %d", ioctl(fd, SIOCGIFCONF, &conf));
    printf(" length %d first %s %s\n", conf.ifc_len, room[0].ifr_name, text(&room[0].ifr_addr));
    conf.ifc_req = NULL;
    printf("SIOCGIFCONF %d", ioctl(fd, SIOCGIFCONF, &conf));
    printf(" length %d\n", conf.ifc_len);
    conf.ifc_len = sizeof room[0] - 1;
    conf.ifc_req = room;
    printf("SIOCGIFCONF %d", ioctl(fd, SIOCGIFCONF, &conf));
    printf(" length %d\n", conf.ifc_len);
    close(fd);
    return 0;
}
