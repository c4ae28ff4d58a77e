// The usual way in Node: Fastify, one INSERT through pg's pool and one `queue.add` of BullMQ for each request.
// With GUARANTEES `same`, it also does what Filas does: it checks the signature of the raw body, counts the request
// against a limit in Redis, stores the headers, and answers a duplicate without a second job.
// node fastify.mjs PORT REDIS_PORT POSTGRES_SOCKET_DIR USER DATABASE none|same SECRET
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { createRequire } from 'node:module'

const require = createRequire(`${process.cwd()}/`)
const fastify = require('fastify')
const { Queue } = require('bullmq')
const { Redis } = require('ioredis')
const { Pool } = require('pg')

const [port, redisPort, host, user, database, guarantees, secret] = process.argv.slice(2)
const pool = new Pool({ host, user, database, max: 20 })
const queue = new Queue('webhooks', { connection: { host: '127.0.0.1', port: Number(redisPort) } })
const app = fastify()

if (guarantees === 'same') await withGuarantees()
else await plain()
await app.listen({ host: '127.0.0.1', port: Number(port) })

async function plain() {
  await pool.query('create table if not exists plain_events (id uuid primary key, body json, at timestamptz default now())')
  app.post('/webhooks/:path', async (request) => {
    const id = randomUUID()
    await pool.query('insert into plain_events (id, body) values ($1, $2)', [id, request.body])
    const job = await queue.add('webhook', { id, body: request.body }, { jobId: id })
    return { status: 'received', eventId: id, jobId: job.id, duplicate: false }
  })
}

async function withGuarantees() {
  await pool.query(`create table if not exists guarded_events (id uuid primary key, webhook text not null,
    duplicate_key text not null, headers json not null, body text not null, at timestamptz default now(),
    unique (webhook, duplicate_key))`)
  const redis = new Redis({ host: '127.0.0.1', port: Number(redisPort) })
  redis.defineCommand('countRequest', {
    numberOfKeys: 1,
    lua: `local count = redis.call('INCR', KEYS[1])
      if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
      return count`,
  })
  const windowMs = 60000
  const mostRequests = 1000000
  const insert = `insert into guarded_events (id, webhook, duplicate_key, headers, body) values ($1, $2, $3, $4, $5)
    on conflict (webhook, duplicate_key) do nothing`
  const first = 'select id from guarded_events where webhook = $1 and duplicate_key = $2'

  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, raw, done) => done(null, raw))
  app.post('/webhooks/:path', async (request, reply) => {
    const { path } = request.params
    const raw = request.body
    const sent = Buffer.from(String(request.headers['x-hub-signature-256']))
    const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`)
    if (sent.length !== expected.length || !timingSafeEqual(sent, expected)) return reply.code(401).send({ error: 'signature' })
    if ((await redis.countRequest(`limit:${path}`, windowMs)) > mostRequests) return reply.code(429).send({ error: 'limit' })
    const body = JSON.parse(raw)
    const key = body.entry[0].changes[0].value.messages[0].id
    const id = randomUUID()
    const stored = await pool.query(insert, [id, path, key, request.headers, raw.toString()])
    if (stored.rowCount === 0) {
      const known = (await pool.query(first, [path, key])).rows[0].id
      return { status: 'received', eventId: known, jobId: known, duplicate: true }
    }
    const job = await queue.add('webhook', { id, body }, { jobId: id })
    return { status: 'received', eventId: id, jobId: job.id, duplicate: false }
  })
}
