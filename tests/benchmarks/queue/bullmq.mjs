// BullMQ: `node bullmq.mjs HOST PORT DATABASE TEXT`, started in a directory that has it in node_modules.
// Prints one line of JSON with the names of measure.Figures.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'here.js'));
const { Queue, Worker } = require('bullmq');
const { Redis } = require('ioredis');

const [host, port, db, text] = process.argv.slice(2);
const connection = { host, port: Number(port), db: Number(db), maxRetriesPerRequest: null };
const JOBS = 20000;
const CALLERS = 100;
const CHUNK = 500;
const CONCURRENCY = 100;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const figures = {};

const queue = new Queue('bench', { connection });
await queue.waitUntilReady();
const client = new Redis(connection);
const options = { attempts: 3, backoff: { type: 'exponential', delay: 2000 } };
const off = { ...options, removeOnComplete: true };
const on = { ...options, removeOnComplete: false };

async function rate(jobs, work) {
  const began = performance.now();
  await work();
  return jobs / ((performance.now() - began) / 1000);
}

async function bulk(opts) {
  for (let start = 0; start < JOBS; start += CHUNK) {
    await queue.addBulk(Array.from({ length: CHUNK }, () => ({ name: 'nothing', data: { text }, opts })));
  }
}

async function single() {
  let left = JOBS;
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (left-- > 0) await queue.add('nothing', { text }, off);
    }),
  );
}

async function processing(opts) {
  await client.flushdb();
  await bulk(opts);
  let left = JOBS;
  let worker;
  const figure = await rate(JOBS, async () => {
    await new Promise((resolve) => {
      worker = new Worker('bench', async () => 'done', { connection, concurrency: CONCURRENCY });
      worker.on('completed', () => { if (--left === 0) resolve(); });
    });
  });
  await worker.close();
  return figure;
}

figures.enqueue_bulk = await rate(JOBS, () => bulk(off));
await client.flushdb();
figures.enqueue_single = await rate(JOBS, single);
figures.process = await processing(off);
figures.process_results = await processing(on);
await client.flushdb();

let began = () => {};
const worker = new Worker('bench', async () => { began(); return 'done'; }, { connection, concurrency: CONCURRENCY });
await worker.waitUntilReady();
await sleep(500);
const times = [];
for (let number = 0; number < 200; number++) {
  const picked = new Promise((resolve) => { began = resolve; });
  const start = performance.now();
  await queue.add('nothing', { text }, off);
  await picked;
  times.push(performance.now() - start);
  await sleep(10);
}
times.sort((a, b) => a - b);
figures.pickup_p50 = times[100];
figures.pickup_p99 = times[198];
await sleep(500);
const before = process.cpuUsage();
const start = performance.now();
await sleep(4000);
const used = process.cpuUsage(before);
figures.idle_cpu = (used.user + used.system) / 10 / (performance.now() - start);
figures.rss = process.memoryUsage().rss / 2 ** 20;
const rollup = readFileSync('/proc/self/smaps_rollup', 'utf8').split('\n');
const kib = rollup.filter((line) => line.startsWith('Private_')).map((line) => Number(line.split(/\s+/)[1]));
figures.private = kib.reduce((sum, one) => sum + one, 0) / 1024;
await worker.close();
await queue.close();
client.disconnect();
console.log(JSON.stringify(figures));
process.exit(0);
