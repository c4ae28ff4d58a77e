// The usual way in Node: Fastify, one INSERT through pg's pool and one `queue.add` of BullMQ a request.
// node fastify.mjs PORT REDIS_PORT POSTGRES_SOCKET_DIR USER DATABASE
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'

const require = createRequire(`${process.cwd()}/`)
const fastify = require('fastify')
const { Queue } = require('bullmq')
const { Pool } = require('pg')

const [port, redisPort, host, user, database] = process.argv.slice(2)
const pool = new Pool({ host, user, database, max: 20 })
const queue = new Queue('webhooks', { connection: { host: '127.0.0.1', port: Number(redisPort) } })
await pool.query('create table if not exists plain_events (id uuid primary key, body json, at timestamptz default now())')

const app = fastify()
app.post('/webhooks/:path', async (request) => {
  const id = randomUUID()
  await pool.query('insert into plain_events (id, body) values ($1, $2)', [id, request.body])
  const job = await queue.add('webhook', { id, body: request.body }, { jobId: id })
  return { status: 'received', eventId: id, jobId: job.id, duplicate: false }
})
await app.listen({ host: '127.0.0.1', port: Number(port) })
