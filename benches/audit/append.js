'use strict'
// How fast JavaScript's Hypercore appends: `node append.js FOLDER BLOCKS ROUNDS`, of a file with a block on each line. Prints for
// each round of each way to do it {is_synced, batch, per_second}. Synced: its files are, after each append, as its own
// storage never does.

const fs = require('fs')
const path = require('path')
const Hypercore = require('hypercore')

async function main (folder, file, rounds) {
  const blocks = fs.readFileSync(file).toString().trimEnd().split('\n').map((line) => Buffer.from(line))
  for (const isSynced of [false, true]) {
    for (const batch of [1, 32]) {
      const place = path.join(folder, `${isSynced}-${batch}`)
      const core = new Hypercore(place)
      await core.ready()
      // Files are made when they are first written to.
      for (let warm = 0; warm < 8; warm++) await core.append(blocks[warm])
      const files = isSynced ? open(place) : []
      for (let round = 0; round < rounds; round++) {
        const began = process.hrtime.bigint()
        for (let at = 0; at < blocks.length; at += batch) {
          await core.append(batch === 1 ? blocks[at] : blocks.slice(at, at + batch))
          await Promise.all(files.map(sync))
        }
        const seconds = Number(process.hrtime.bigint() - began) / 1e9
        console.log(JSON.stringify({ is_synced: isSynced, batch, per_second: blocks.length / seconds }))
      }
      files.forEach((file) => fs.closeSync(file))
      await core.close()
    }
  }
}

function open (folder) {
  return ['data', 'tree', 'bitfield', 'oplog']
    .map((name) => path.join(folder, name))
    .filter((file) => fs.existsSync(file))
    .map((file) => fs.openSync(file, 'r+'))
}

function sync (file) {
  return new Promise((resolve, reject) => fs.fdatasync(file, (error) => (error ? reject(error) : resolve())))
}

const [folder, file, rounds] = process.argv.slice(2)
main(folder, file, Number(rounds)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
