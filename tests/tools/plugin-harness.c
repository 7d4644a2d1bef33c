/* Loads audit_login.so as a server does and tells it of made-up events, to measure the plugin alone, count what it
 * allocates, and let valgrind watch it. Layouts are written down here once more, apart from those in the plugin.
 *
 *   cc -O2 -rdynamic [-DCOUNT] -o harness plugin-harness.c -lpthread -ldl
 *   harness LIBRARY maria|mysql THREADS EVENTS [off]       in a folder that its files may be made in
 *
 * Prints nanoseconds per event (wall clock of all threads together, and processor time), and with -DCOUNT how often
 * memory was asked for while it was told of events. Every sixteenth event is a refusal with the worst names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_long allocations;
#ifdef COUNT
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { allocations++; return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { allocations++; return __libc_realloc(old, size); }
#endif

struct short_text { const char *pointer; unsigned length; };
struct text { const char *pointer; size_t length; };
struct maria_event {
  unsigned subclass; int status; unsigned long thread;
  struct short_text user, priv_user, external_user, proxy_user, host, ip;
  struct text database;
};
struct mysql_event {
  unsigned subclass; int status; unsigned long connection;
  struct text user, priv_user, external_user, proxy_user, host, ip, database;
  int connection_type;
};
struct variable { int flags; const char *name, *comment; void *check, *update; };
struct bool_variable { struct variable head; char *value; char fallback; };
struct number_variable { struct variable head; unsigned long long *value, fallback, min, max, block; };
struct text_variable { struct variable head; const char **value, *fallback; };
struct status { const char *name; void *value; int type, scope; };

static void (*maria_notify)(void *, unsigned, const void *);
static int (*mysql_notify)(void *, unsigned, const void *);
static long events;
static char worst[1025];

static void tell(unsigned long id, int what, int status, int hostile) {
  const char *user = hostile ? worst : "app";
  size_t length = strlen(user);
  if (maria_notify) {
    struct maria_event event = {what, status, id, {user, length}, {status ? "" : "app", status ? 0 : 3}, {0, 0}, {"", 0},
      {"web-7.example.net", 17}, {"10.0.0.7", 8}, {"shop", 4}};
    if (hostile && id % 32 == 0) event.user = event.host = (struct short_text){0, 0};
    maria_notify(0, 1, &event);
  } else {
    struct mysql_event event = {1u << what, status, id, {user, length}, {"app", 3}, {"", 0}, {"", 0},
      {"web-7.example.net", 17}, {"10.0.0.7", 8}, {"shop", 4}, 1};
    if (hostile && id % 32 == 0) event.user = event.host = (struct text){0, 0};
    if (mysql_notify(0, 1, &event) != 0) { fprintf(stderr, "the login was aborted\n"); exit(1); }
  }
}

static void *work(void *argument) {
  unsigned long first = (unsigned long)argument * 1000000000ul;
  for (long i = 0; i < events; i += 2) {
    unsigned long id = first + 1 + i;
    int hostile = i % 16 == 0;
    tell(id, 0, hostile ? 1045 : 0, hostile);
    tell(id, 1, 0, hostile);
  }
  return 0;
}

static double seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int count, char **words) {
  if (count < 5) { fprintf(stderr, "usage: harness LIBRARY maria|mysql THREADS EVENTS [off]\n"); return 2; }
  for (int i = 0; i < 1024; i++) worst[i] = "\xff\n\"\\\x01 abc"[i % 9];
  int is_maria = !strcmp(words[2], "maria"), threads = atoi(words[3]);
  events = atol(words[4]) / threads;
  void *library = dlopen(words[1], RTLD_NOW);
  if (!library) { fprintf(stderr, "%s\n", dlerror()); return 1; }
  char *plugin = dlsym(library, is_maria ? "_maria_plugin_declarations_" : "_mysql_plugin_declarations_");
  char *info = *(char **)(plugin + 8);
  int (*init)(void *) = *(int (**)(void *))(plugin + 48);
  int (*deinit)(void *) = *(int (**)(void *))(plugin + (is_maria ? 56 : 64));
  struct status *status = *(struct status **)(plugin + (is_maria ? 72 : 80));
  for (struct variable **it = *(struct variable ***)(plugin + (is_maria ? 80 : 88)); *it; it++) {
    switch ((*it)->flags & 0x7f) {
      case 1: { struct bool_variable *v = (void *)*it;
                *v->value = v->fallback && !(count > 5 && !strcmp((*it)->name, "enabled")); break; }
      case 4: { struct number_variable *v = (void *)*it; *v->value = v->fallback; break; }
      case 5: { struct text_variable *v = (void *)*it; *v->value = v->fallback; break; }
      default: fprintf(stderr, "a variable of another kind: %s\n", (*it)->name); return 1;
    }
  }
  if (is_maria) maria_notify = *(void **)(info + 16); else mysql_notify = *(void **)(info + 16);
  if (init(0)) { fprintf(stderr, "init failed\n"); return 1; }
  tell(1, 0, 0, 0);

  pthread_t all[64];
  long before = 0;
  double wall = seconds(CLOCK_MONOTONIC), busy = seconds(CLOCK_PROCESS_CPUTIME_ID);
  if (threads == 1) {
    before = allocations;
    work((void *)1);
    before = allocations - before;
  } else {
    for (long i = 0; i < threads; i++) pthread_create(&all[i], 0, work, (void *)(i + 1));
    for (long i = 0; i < threads; i++) pthread_join(all[i], 0);
  }
  wall = seconds(CLOCK_MONOTONIC) - wall;
  busy = seconds(CLOCK_PROCESS_CPUTIME_ID) - busy;
  unsigned long long made = 0, written = 0, dropped = 0;
  for (; status->name; status++) {
    if (!strcmp(status->name, "Simple_login_audit_lines")) made = *(unsigned long long *)status->value;
    if (!strcmp(status->name, "Audit_login_written")) written = *(unsigned long long *)status->value;
    if (!strcmp(status->name, "Audit_login_dropped")) dropped = *(unsigned long long *)status->value;
  }
  double told = (double)events * threads;
  printf("%s threads=%d events=%.0f wall_ns=%.0f cpu_ns=%.0f lines=%llu allocations=%ld\n", words[2], threads, told,
         wall / told * 1e9, busy / told * 1e9, made, before);
  if (made != written + dropped) { fprintf(stderr, "counts do not add up\n"); return 1; }
  deinit(0);
  dlclose(library);
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[4096];
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "audit_login.so")) { fprintf(stderr, "the library stays mapped\n"); return 1; }
  fclose(maps);
  return 0;
}
