'use strict'
// Replicates segments from a node, live: `node follow.js HOST PORT KEY [KEY ...]`
//
// All over one connection. Prints {key, index, block} for each block as it comes, in the order of its segment, and goes on
// until it is killed.

const fs = require('fs')
const net = require('net')
const os = require('os')
const path = require('path')
const Hypercore = require('hypercore')

async function main (host, port, keys) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hypercore-'))
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
  // Whoever started it is gone.
  process.stdin.on('end', () => process.exit(0)).resume()

  const stream = Hypercore.createProtocolStream(true)
  const socket = net.connect(Number(port), host)
  for (const end of [socket, stream.noiseStream]) {
    end.on('error', fail)
    end.on('close', () => fail(new Error('the connection ended')))
  }
  stream.pipe(socket).pipe(stream)
  await Promise.all(keys.map((key) => follow(folder, key, stream)))
}

async function follow (folder, key, stream) {
  const core = new Hypercore(path.join(folder, key), Buffer.from(key, 'hex'))
  await core.ready()
  core.replicate(stream)
  core.download({ start: 0, end: -1 })
  let index = 0
  for await (const block of core.createReadStream({ live: true })) {
    const line = JSON.stringify({ key, index: index++, block: block.toString() }) + '\n'
    // Whoever reads it may be slow.
    await new Promise((resolve) => process.stdout.write(line, resolve))
  }
}

function fail (error) {
  console.error(error)
  process.exit(1)
}

const [host, port, ...keys] = process.argv.slice(2)
main(host, port, keys).catch(fail)
